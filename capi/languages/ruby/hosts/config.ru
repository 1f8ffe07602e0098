# frozen_string_literal: true

# A program under Puma, asked by hosts_ruby of ../parts.sh. Each answer tells of its worker: threads, descriptors, and the longest time in
# milliseconds for which a thread that wanted to run could not.

require "logger"
require "paytoken"

# Before Puma forks.
SOURCE = Paytoken::Source.from_env(:send_payments)
MADE_BY = Process.pid
Paytoken.log_to(Logger.new($stdout), level: :debug)

# Sees how long Ruby's global lock was held.
module Watch
  class << self
    attr_reader :longest

    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC, :float_millisecond)

    def start
      @longest = 0
      Thread.new do
        loop do
          before = now
          sleep 0.001
          @longest = [@longest, now - before - 1].max
        end
      end
    end
  end
end

run(lambda do |env|
  if env["PATH_INFO"] == "/token"
    header = SOURCE.authorization(force: env["QUERY_STRING"] == "force")
    raise "no header" unless header.start_with?("Bearer ") && MADE_BY == Process.ppid
  end
  line = ["served", Process.pid, Dir.children("/proc/self/task").size, Dir.children("/proc/self/fd").size, Watch.longest.round].join(" ")
  [200, { "content-type" => "text/plain" }, ["#{line}\n"]]
end)
