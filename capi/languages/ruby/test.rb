# frozen_string_literal: true

# The gem, installed, against the sandbox: run by capi/languages/run.

require "fileutils"
require "json"
require "logger"
require "net/http"
require "stringio"
require "timeout"
require "tmpdir"
require "paytoken"

Source = Paytoken::Source

def check(holds, what)
  raise "not so: #{what}" unless holds
end

def control(method, path)
  uri = URI(ENV.fetch("PAYTOKEN_SANDBOX_CONTROL"))
  answer = Net::HTTP.start(uri.host, uri.port) { |http| http.send_request(method, path) }
  check(answer.code == "200", answer.body)
  answer.body
end

def stats = JSON.parse(control("GET", "/stats").force_encoding("UTF-8"))["send-payments"]
def resident = File.read("/proc/self/statm").split[1].to_i * 4
def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

# A call of the API: what a program would do.
def accounts(authorization)
  uri = URI("#{ENV.fetch('SENDPAYMENTS_BASE_URL')}/accounts")
  answer = Net::HTTP.start(uri.host, uri.port, use_ssl: true, ca_file: ENV.fetch("PAYTOKEN_CA")) do |http|
    http.get(uri.path, "Authorization" => authorization)
  end
  [answer.code.to_i, answer.body]
end

def failure
  yield
rescue Paytoken::Error => e
  e
else
  raise "this was to fail"
end

def each_provider_gives_a_header
  %i[ntx_pay nexter_pay send_payments].each do |provider|
    source = Source.from_env(provider)
    header = source.authorization(min_validity: 1.5)
    check(header == "Bearer #{source.token}" && header.length > 20, provider)
    check(source.status[:requests] == 1, "one request")
    source.token(force: true)
    check(source.status[:requests] == 2, "force asks once")
    source.close
  end
  file = ->(name) { File.binread(ENV.fetch(name)) }
  by_hand = Source.new(
    :ntx_pay, :sandbox,
    client_id: ENV.fetch("NTXPAY_CLIENT_ID"), client_secret: ENV.fetch("NTXPAY_CLIENT_SECRET"),
    certificate_pem: file["NTXPAY_CLIENT_CERT"], private_key_pem: file["NTXPAY_CLIENT_KEY"],
    root_certificates_pem: file["PAYTOKEN_CA"], base_url: ENV.fetch("NTXPAY_BASE_URL"), timeout_ms: 5000, retries: 1
  )
  check(by_hand.authorization.start_with?("Bearer "), "settings by hand")
end

def a_described_provider_gives_a_header
  played = {
    name: "played", token_endpoint: "/auth", auth: "none", body: "json", renewal: "replaces-previous",
    fields: { clientId: "{shop}", clientSecret: "{api_key}" }, identity: ["shop"], secrets: ["api_key"],
    token: "/accessToken", expires_at: "/expiresAt"
  }
  values = { shop: ENV.fetch("SENDPAYMENTS_CLIENT_ID"), "api_key" => ENV.fetch("SENDPAYMENTS_CLIENT_SECRET") }
  terms = { base_url: ENV.fetch("SENDPAYMENTS_BASE_URL"), root_certificates_pem: File.binread(ENV.fetch("PAYTOKEN_CA")), values: values }
  its = Paytoken.describe(played)
  source = Source.new(its, :sandbox, **terms)
  check(source.call { |authorization| accounts(authorization) }[0] == 200, "the API takes it")
  check(source.authorization == "Bearer #{source.token}" && source.status[:provider] == its.number, "a header")
  check(Paytoken.describe(JSON.pretty_generate(played)) == its, "the same once more")
  other = Source.new(Paytoken.describe(played.merge(name: "other", renewal: "coexists", prefix: "Token")), :sandbox, **terms)
  check(other.authorization == "Token #{other.token}", "another prefix")
  bare = Source.new(Paytoken.describe(played.merge(name: "bare", prefix: "")), :sandbox, **terms)
  check(bare.authorization == bare.token && bare.token.length > 20, "no prefix")
  secret = key = "not-a-real-secret"
  acme = Paytoken.describe(
    name: "acme", token_endpoint: "https://auth.acme.example/oauth2/token",
    auth: "client_secret_basic", renewal: "coexists",
    headers: { "x-api-key": "{api_key}" }, secrets: ["api_key"]
  )
  source = Paytoken::Source.new(
    acme, :production, client_id: "merchant-7", client_secret: secret, values: { api_key: key }
  )
  check(source.status[:provider] == acme.number, "the page's")
  { {} => "name: not set", "{" => "not JSON", played.merge(renewal: "coexists") => "otherwise", [] => "JSON object",
    played.merge(name: "new", sekrets: []) => "secrets", { name: Float::NAN } => "JSON", { name: "\xff" } => "JSON", nil => "JSON",
    "{}\0" => "NUL", "\xff" => "not text" }.each do |wrong, says|
    error = failure { Paytoken.describe(wrong) }
    check(error.message.include?(says) && [1, 103].include?(error.code), error.message)
  end
  { { shopp: "7" } => "shopp: not known for played; it takes shop, api_key", { "a-key-of-mine" => "api_key" } => "name: ",
    { shop: 7 } => "shop: has to be a String", "shop" => "values: ", { 7 => "7" } => "values: ", { shop: "a\0b" } => "shop: " }.each do |wrong, says|
    error = failure { Source.new(its, :sandbox, **terms, values: wrong) }
    check(error.code == 103 && error.message.start_with?(says), error.message)
  end
end

def other_threads_run_while_one_waits
  # Held until this thread, which runs beside those that wait, lets the request go.
  control("POST", "/send-payments/hold")
  source = Source.from_env(:send_payments)
  threads = Array.new(50) { Thread.new { source.authorization } }
  longest = 0
  last = now
  until threads.any? { |thread| !thread.alive? } || (stats["token_requests"] == 1 && threads.all? { |thread| thread.status == "sleep" })
    Thread.pass
    longest = [longest, now - last].max
    last = now
  end
  native = Dir.children("/proc/self/task").size
  check(threads.all?(&:alive?) && stats["tokens_issued"].zero?, "all wait, and this one runs")
  control("POST", "/send-payments/release")
  check(threads.map(&:value).uniq.size == 1 && stats["token_requests"] == 1, "one request")
  puts format("   Ruby: 50 threads on an empty cache: 1 request; a 51st paused %.0f ms at the most; %d native threads", longest * 1000, native)
  check(native < 60, "one thread fetches: #{native}")
  source.invalidate(source.token)
  control("POST", "/send-payments/hold")
  check(failure { source.token(timeout: 0.05) }.name == "PAYTOKEN_TIMEOUT", "timeout:")
  begin
    Timeout.timeout(0.05) { source.token }
    raise "not interrupted"
  rescue Timeout::Error
    check(stats["tokens_issued"] == 1, "gone before the token is there")
  end
  control("POST", "/send-payments/release")
  check(source.token && stats["token_requests"] == 2, "the fetch was left for the next")
end

def a_renewal_makes_nobody_wait
  control("POST", "/ntx-pay/lifetime?seconds=6")
  source = Source.from_env(:ntx_pay)
  source.token
  control("POST", "/ntx-pay/hold")
  source.token while source.status[:requests] < 2
  check(source.status[:tokens] == 1, "a call waited for the new token")
  control("POST", "/ntx-pay/release")
end

def logging_locks_nobody_out
  text = StringIO.new
  Paytoken.log_to(Logger.new(text), level: :debug)
  sources = %i[ntx_pay nexter_pay].map { |provider| Source.from_env(provider) }
  ends = now + Float(ENV.fetch("PAYTOKEN_LOG_SECONDS", "3"))
  # Each goes on until there is something to see, too: a busy machine takes longer.
  logged = -> { text.string.lines.size > 10 }
  Timeout.timeout(ends - now + 120) do
    Array.new(8) do |i|
      Thread.new do
        while now < ends || !logged.call
          sources[i % 2].token(force: true)
          GC.start if i.zero?
        end
      end
    end.each(&:join)
  end
  Paytoken.log_to(nil)
  check(text.string.include?("paytoken") && !text.string.include?("eyJ"), "records, and no token in them")
end

def a_wrong_secret_is_told_and_remembered
  source = Source.from_env(:send_payments, client_id: "señor".encode("ISO-8859-1"), client_secret: "contraseña")
  2.times do
    error = failure { source.authorization }
    check(error.name == "PAYTOKEN_REJECTED" && error.code == 5 && error.http_status == 401, error.name)
    check(error.retry_after > 10 && !error.retryable? && !error.message.include?("contraseña"), "when to ask again")
  end
  check(stats["token_requests_by_client"] == { "señor" => 1 }, "one request, UTF-8")
  before = nil
  20_000.times do |i|
    before = resident if i == 10_000
    failure { source.authorization }
  end
  check(resident - before < 1536, "#{resident - before} KiB more: error objects are left behind")
end

def a_401_is_replayed_once
  source = Source.from_env(:send_payments)
  sent = []
  send = lambda do |authorization|
    sent << authorization
    accounts(authorization)
  end
  control("POST", "/send-payments/fault?kind=status=401&times=1&endpoint=api")
  check(source.call(&send)[0] == 200 && sent.size == 2 && sent[0] != sent[1], "one replay, another token")
  control("POST", "/send-payments/fault?kind=status=401&times=2&endpoint=api")
  check(source.call(&send)[0] == 401 && sent.size == 4, "the second 401 is handed back")
  requests = stats["token_requests"]
  source.invalidate("Bearer of-yesterday")
  check(source.token && stats["token_requests"] == requests, "an old token changes nothing")
  begin
    source.call { ["401", nil] }
    raise "a status that is no number passed"
  rescue TypeError
    nil
  end
end

def what_cannot_be_passed_on_is_an_error
  { client_secret: "a\0b", store_directory: "a\0b", base_url: "\xff", user_agent: "\xff".b, certificate_pem: 7, timeout_ms: -1,
    connect_timeout_ms: 1.5, retries: "many", client_id: 7, cliend_id: "x", renew_in_background: 1 }.each do |name, value|
    error = failure { Source.from_env(:send_payments, name => value) }
    check(error.name == "PAYTOKEN_INVALID_ARGUMENT" && error.message.start_with?("#{name}:") && error.cause.nil?, error.message)
  end
  check(failure { Source.from_env(:sendpayments) }.message.include?("send_payments"), "an unknown provider")
  # A number could pass for an object of the library's.
  [1, 2, 2**40, nil, "sandbox", :live].each do |environment|
    error = failure { Source.new(:send_payments, environment, client_id: "a", client_secret: "b") }
    check(error.message.start_with?("environment:"), error.message)
  end
  check(failure { Source.from_env(:send_payments, timeout_ms: 0) }.name == "PAYTOKEN_CONFIGURATION", "a time-out of 0")
  source = Source.from_env(:send_payments)
  [-> { source.invalidate("a\0b") }, -> { source.token(min_validity: -1) }, -> { source.token(min_validity: Float::NAN) }].each do |call|
    check(failure(&call).name == "PAYTOKEN_INVALID_ARGUMENT", "an argument")
  end
  # Closed while a thread waits: that call ends as it would, and the next is an error.
  control("POST", "/send-payments/hold")
  waiting = Thread.new { source.token }
  Thread.pass until source.instance_variable_get(:@users).positive? && !source.instance_variable_get(:@flights).empty?
  source.close
  source.close
  control("POST", "/send-payments/release")
  check(waiting.value, "it lands")
  [-> { source.token }, -> { source.token(force: true) }, -> { source.status }, -> { source.invalidate("x") }].each do |call|
    check(failure(&call).message.include?("closed"), "used after close")
  end
end

def forked_workers_have_sources_of_their_own
  Dir.mktmpdir do |store|
    # As puma does with preload_app!: made before the workers are.
    source = Source.from_env(:send_payments, store_directory: "#{store}/tokens")
    children = Array.new(8) do
      fork do
        ok = source.token(force: false) && source.call { |authorization| accounts(authorization) }[0] == 200
        exit!(ok ? 0 : 1)
      rescue StandardError => e
        warn e.full_message
        exit!(1)
      end
    end
    children.each { |child| check(Process.wait2(child)[1].success?, "a worker") }
    check(source.token && stats["token_requests"] == 1, "#{stats['token_requests']} requests")
  end
end

def a_signal_handler_is_told_to_start_a_thread
  source = Source.from_env(:send_payments)
  seen = Queue.new
  calls = { token: -> { source.token }, forced: -> { source.token(force: true) }, status: -> { source.status }, close: -> { source.close },
            invalidate: -> { source.invalidate("x") } }
  before = trap("USR1") do
    calls.each do |name, call|
      call.call
      seen << [name, nil]
    rescue ThreadError => e
      seen << [name, e.message]
    end
    Thread.new { seen << [:thread, source.token] }
  end
  Process.kill("USR1", Process.pid)
  calls.each_key do |name|
    was, message = seen.pop
    check(was == name && message.to_s.include?("Thread.new"), "#{was}: #{message}")
  end
  check(seen.pop[1].length > 20, "a thread of its gets one")
ensure
  trap("USR1", before)
end

def a_store_that_is_away_is_seen
  Dir.mktmpdir do |directory|
    store = "#{directory}/tokens"
    source = Source.from_env(:send_payments, store_directory: store)
    source.token
    check(source.status[:store_error_age_ms] == -1, "the store works")
    FileUtils.rm_r(store)
    FileUtils.touch(store) # a file is there now
    records = Queue.new
    logger = Logger.new(StringIO.new, formatter: ->(severity, _, program, message) { records << [severity, program, message] })
    Paytoken.log_to(logger, level: :warn)
    check(failure { source.token(force: true) }.name == "PAYTOKEN_STORE", "the caller's error")
    severity, program, message = records.pop
    check(severity == "WARN" && program == "paytoken" && message.include?(store), [severity, program, message].inspect)
    check(source.status[:store_error_age_ms] >= 0, "it does not")
    [[:loud, 1], [:warn, 0], [:warn, 70_000], [nil, 1]].each do |level, capacity|
      error = failure { Paytoken.log_to(logger, level: level, capacity: capacity) }
      check(error.code == 103, error.message)
    end
    check(failure { Paytoken.log_to($stderr) }.message.include?("Logger"), "an IO is none")
    # One that fails once gets the next record all the same.
    fails = [true]
    told = $stderr
    $stderr = StringIO.new
    Paytoken.log_to(Logger.new(StringIO.new, formatter: ->(*, text) { fails.pop ? raise("the disk is full") : records << text }), level: :warn)
    2.times { failure { source.token(force: true) } }
    check(records.pop.include?(store) && $stderr.string.include?("the disk is full"), "a logger that fails")
    $stderr = told
    Paytoken.log_to(nil)
  end
end

def the_library_is_found_in_three_places
  installed = $LOADED_FEATURES.grep(%r{/paytoken\.rb\z}).first
  library = File.join(File.dirname(installed), "paytoken", "libpaytoken.so.0")
  Dir.mktmpdir do |directory|
    FileUtils.cp(installed, directory)
    said = lambda do |**environment|
      script = 'require "paytoken"; puts "found"'
      IO.popen([environment.transform_keys(&:to_s), RbConfig.ruby, "-w", "-I", directory, "-e", script, { err: %i[child out] }], &:read)
    end
    check(said[PAYTOKEN_LIBRARY: library] == "found\n", "PAYTOKEN_LIBRARY")
    check(said[LD_LIBRARY_PATH: File.dirname(library)] == "found\n", "the system's")
    none = said[]
    check(none.include?("the gem's (#{directory}/") && none.include?("PAYTOKEN_LIBRARY names (it is not set)") && none.include?("the system's"), none)
    wrong = said[PAYTOKEN_LIBRARY: "/nowhere", LD_LIBRARY_PATH: File.dirname(library)]
    check(wrong.include?("/nowhere") && wrong.include?("correct that"), wrong)
    check(said[PAYTOKEN_LIBRARY: "", LD_LIBRARY_PATH: File.dirname(library)] == "found\n", "empty is not set")
    other = said[PAYTOKEN_LIBRARY: "libc.so.6"]
    check(other.include?("libc.so.6; unset"), other)
    FileUtils.mkdir("#{directory}/paytoken")
    FileUtils.cp(library, "#{directory}/paytoken")
    check(said[PAYTOKEN_LIBRARY: "/nowhere"] == "found\n", "the gem's first")
  end
end

def figures
  source = Source.from_env(:send_payments)
  source.authorization
  began = now
  50_000.times { source.authorization }
  puts "   Ruby: #{(50_000 / (now - began)).round} cached calls/s"
end

%i[each_provider_gives_a_header a_described_provider_gives_a_header other_threads_run_while_one_waits a_renewal_makes_nobody_wait logging_locks_nobody_out
   a_wrong_secret_is_told_and_remembered a_401_is_replayed_once what_cannot_be_passed_on_is_an_error
   forked_workers_have_sources_of_their_own a_signal_handler_is_told_to_start_a_thread a_store_that_is_away_is_seen
   the_library_is_found_in_three_places figures].each do |test|
  control("POST", "/reset")
  send(test)
end
puts "ok     Ruby"
