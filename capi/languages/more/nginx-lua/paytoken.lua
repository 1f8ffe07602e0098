-- A value for Authorization: from memory, else by one fetch on a thread of nginx's own.
local ffi = require "ffi"
ffi.cdef [[
const char *paytoken_code_name(int32_t code);
typedef struct paytoken_config paytoken_config;
typedef struct paytoken_source paytoken_source;
typedef struct paytoken_error paytoken_error;
typedef struct paytoken_token_options {
    uint32_t size;
    uint32_t flags;
    uint64_t min_validity_ms;
    uint64_t deadline_ms;
} paytoken_token_options;
int32_t paytoken_config_from_env(uint32_t provider, paytoken_config **out, paytoken_error **err);
int32_t paytoken_config_set_renew_in_background(paytoken_config *config, int32_t on);
void paytoken_config_free(paytoken_config *config);
int32_t paytoken_source_new(const paytoken_config *config, paytoken_source **out, paytoken_error **err);
int32_t paytoken_source_token_with(const paytoken_source *source, const paytoken_token_options *options, char *buf, size_t cap, size_t *len, paytoken_error **err);
int32_t paytoken_source_invalidate(const paytoken_source *source, const char *rejected_token);
void paytoken_source_free(paytoken_source *source);
const char *paytoken_error_message(const paytoken_error *error);
int64_t paytoken_error_retry_after_ms(const paytoken_error *error);
int32_t paytoken_error_is_retryable(const paytoken_error *error);
void paytoken_error_free(paytoken_error *error);
void paytoken_wipe(void *memory, size_t len);
]]
local lib = ffi.load "libpaytoken.so.0"
local CACHED_ONLY, AUTHORIZATION, RENEW_IF_TOKENS_COEXIST, CAP = 2, 4, 2, 8300
local options = ffi.new("paytoken_token_options", { size = ffi.sizeof "paytoken_token_options" })
local buffer, length, failure = ffi.new("char[?]", CAP), ffi.new "size_t[1]", ffi.new "paytoken_error *[1]"
local M, flights, source, address = {}, {}, nil, nil

-- The code's name with its message, whether it may pass by itself, and the seconds until it may.
local function told(code)
  local error = failure[0]
  local message = ffi.string(lib.paytoken_code_name(code)) .. ": " .. ffi.string(lib.paytoken_error_message(error))
  local passes = lib.paytoken_error_is_retryable(error) == 1
  local after = math.ceil(math.max(1000, tonumber(lib.paytoken_error_retry_after_ms(error))) / 1000)
  lib.paytoken_error_free(error)
  return message, passes, after
end

local function ask(from, flags, err)
  options.flags = flags + AUTHORIZATION
  local code = lib.paytoken_source_token_with(from, options, buffer, CAP, length, err)
  local value = code == 0 and ffi.string(buffer, length[0]) or nil
  lib.paytoken_wipe(buffer, CAP)
  return value, code
end

-- In init_worker_by_lua: workers are forks, and a source from before a fork is of no use in them.
function M.start(provider)
  local config, made = ffi.new "paytoken_config *[1]", ffi.new "paytoken_source *[1]"
  local code = lib.paytoken_config_from_env(provider, config, failure)
  if code == 0 then
    lib.paytoken_config_set_renew_in_background(config[0], RENEW_IF_TOKENS_COEXIST)
    code = lib.paytoken_source_new(config[0], made, failure)
  end
  lib.paytoken_config_free(config[0])
  if code ~= 0 then error((told(code))) end
  source, address = made[0], tonumber(ffi.cast("uintptr_t", made[0]))
end

-- In exit_worker_by_lua: the threads have ended by then.
function M.stop()
  lib.paytoken_source_free(source)
  source = nil
end

-- On a thread, in a Lua state of that thread's own: may block, for the time-out at most.
function M.fetch(at, rejected)
  local from = ffi.cast("paytoken_source *", ffi.cast("uintptr_t", at))
  if rejected ~= "" then lib.paytoken_source_invalidate(from, rejected) end
  local value, code = ask(from, 0, failure)
  if value then return value end
  return nil, told(code)
end

-- In a timer, as a request may be given up; and its variables with it, so these are handed over.
local function land(_, one, rejected)
  local ran, value, message, passes, after = ngx.run_worker_thread("paytoken", "paytoken", "fetch", address, rejected)
  if not ran then value, message, passes, after = nil, tostring(value), true, 1 end
  one.value, one.message, one.passes, one.after = value, message, passes, after
  flights[rejected] = nil
  if one.waiting > 0 then one.landed:post(one.waiting) end
end

-- One fetch for all requests of this worker that wait.
local function flight(rejected)
  local one = flights[rejected]
  if not one then
    one = { landed = require("ngx.semaphore").new(), waiting = 0, message = "no answer in a minute", passes = true, after = 1 }
    local ok, why = ngx.timer.at(0, land, one, rejected)
    if not ok then return { message = why, passes = true, after = 1 } end
    flights[rejected] = one
  end
  one.waiting = one.waiting + 1
  one.landed:wait(60)
  return one
end

-- In access_by_lua. `rejected` is the value that the API answered 401 to, if there is one.
function M.authorize(rejected)
  ngx.req.clear_header("Authorization")
  if source == nil then
    ngx.log(ngx.ERR, "paytoken: this worker has no source: what init_worker_by_lua said above is why")
    return ngx.exit(502)
  end
  local value = not rejected and ask(source, CACHED_ONLY, nil)
  if not value then
    local one = flight(rejected or "")
    value = one.value
    if not value then
      ngx.log(ngx.ERR, "paytoken: ", one.message)
      if not one.passes then return ngx.exit(502) end -- refused: somebody has to mend the settings
      ngx.header["Retry-After"] = one.after
      return ngx.exit(503)
    end
  end
  ngx.req.set_header("Authorization", value)
end

return M
