-- For the test: how long this worker's event loop paused at the longest, in milliseconds, since the last answer.
local watch = { longest = 0 }

function watch.answer()
  if not watch.at then
    watch.at = ngx.now()
    ngx.timer.at(0, function()
      while not ngx.worker.exiting() do
        ngx.sleep(0.001)
        ngx.update_time()
        watch.longest, watch.at = math.max(watch.longest, ngx.now() - watch.at), ngx.now()
      end
    end)
  end
  ngx.say(ngx.worker.pid(), " ", math.floor(watch.longest * 1000 + 0.5))
  watch.longest = 0
end

return watch
