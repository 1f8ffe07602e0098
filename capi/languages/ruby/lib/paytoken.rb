# frozen_string_literal: true

# paytoken for Ruby 3.0 and newer, by Fiddle, which is part of Ruby: tokens for payment providers' APIs.
#
#     source = Paytoken::Source.from_env(:send_payments)           # one per account, shared by all threads
#     status, accounts = source.call { |authorization| get_accounts(authorization) }    # one replay of a 401
#     Paytoken.log_to(Logger.new($stderr))
#     acme = Paytoken.describe(name: "acme", ...)                  # any other provider
#
# A call is answered from the cache where that is possible. Else it waits for a thread that fetches, one for all callers,
# without Ruby's global lock: other threads run. Timeout.timeout, Thread#kill and timeout: end the wait, not the fetch,
# whose token is there for the next call. The end of the program waits for a fetch under way, at most timeout_ms.
#
# After fork (puma with preload_app!) a source goes on in the child, as a source of the child's own. Set a store directory
# for Send Payments, where a new token ends the one before: all workers share one through it.
#
# Ruby cannot wipe a String that it has moved: the token's text stays in memory until that is used again.

require "fiddle"
require "json"

module Paytoken
  PROVIDERS = { ntx_pay: 1, nexter_pay: 2, send_payments: 3 }.freeze
  ENVIRONMENTS = { sandbox: 1, production: 2 }.freeze

  # Why a call failed: a sentence that ends with how to fix it, never a secret.
  class Error < StandardError
    # code: the number of paytoken.h; name: "PAYTOKEN_REJECTED" and its like; http_status: the provider's, 0 where there was
    # none; retry_after: in seconds, nil where nobody said so (asking earlier is answered at once, without a request).
    attr_reader :code, :name, :http_status, :retry_after

    def initialize(message, code, http_status: 0, retry_after: nil, is_retryable: false)
      super(message)
      @code = code
      @name = C.code_name(code)
      @http_status = http_status
      @retry_after = retry_after
      @is_retryable = is_retryable
    end

    # Whether getting a token may succeed later: never about replaying a payment.
    def retryable?
      @is_retryable
    end
  end

  # A provider that was described; its number is what Source#status tells.
  Described = Struct.new(:number)

  # Any other provider, by its description: a Hash (or JSON text) with the keys of docs/describing-a-provider.md, and name.
  # What this gives stands wherever a provider's Symbol does. The same description again gives the same; another one under a
  # known name is an Error.
  def self.describe(description)
    text = begin
      description.is_a?(String) ? description : JSON.generate(description)
    rescue JSON::JSONError, EncodingError
      nil
    end
    raise C.invalid("description: has to be a Hash that JSON can hold, or JSON text"), cause: nil if text.nil?

    Described.new(C.provider_describe(text)).freeze
  end

  # Gives tokens, to any thread.
  class Source
    # Settings are named as in paytoken.h, paytoken_config_set_...: client_id: "...", client_secret: "...",
    # certificate_pem: File.binread(...), timeout_ms: 5000, store_directory: "/var/lib/shop/paytoken". What a described
    # provider asks for besides is in values: { shop: "7", api_key: "..." }.
    def initialize(provider, environment, **settings)
      make(C.config_new(C.provider(provider), C.number(ENVIRONMENTS, environment, "environment")), settings)
    end

    # From the environment, as the paytoken command reads it; settings given here count instead.
    def self.from_env(provider, **settings)
      config = C.config_from_env(C.provider(provider))
      allocate.tap { |source| source.send(:make, config, settings) }
    end

    # The value of an Authorization header, good now and for min_validity seconds more. timeout, in seconds, is the longest
    # that this call waits; force asks for a new token in any case.
    def authorization(min_validity: 0, timeout: nil, force: false)
      milliseconds = C.milliseconds("min_validity", min_validity)
      unless force
        cached = cached(milliseconds)
        return cached if cached
      end
      fetching = flight(milliseconds, force)
      fetching.join(timeout) or raise Error.new("no token within timeout; allow more time, or ask again", C::TIMEOUT, is_retryable: true)
      fetching.value
    end

    # The token alone.
    def token(**terms)
      authorization(**terms).split.last
    end

    # The API answered 401 to this token, with or without "Bearer ".
    def invalidate(rejected)
      C.with_text("rejected", rejected) do |text|
        # Who asks from now on does not get what a flight of before brings.
        locked { @flights.clear }
        use { |source| C.source_invalidate(source, text) }
      end
    end

    # Sends a request by the block, which gets the header's value and gives [HTTP status, answer]; and where the status is
    # 401, drops that very token and sends it once more, never twice. A payment that ended in a time-out or a 5xx is not
    # replayed.
    def call(min_validity: 0, timeout: nil)
      authorization = authorization(min_validity: min_validity, timeout: timeout)
      status, answer = yield authorization
      raise TypeError, "call: the block has to give [HTTP status as Integer, answer]" unless status.is_a?(Integer)
      return [status, answer] unless status == 401

      begin
        invalidate(authorization)
      rescue Error => e
        # Here it is dropped in any case. That other processes were not told does not change the answer.
        raise unless e.code == C::STORE

        warn("paytoken: #{e.message}")
      end
      yield authorization(min_validity: min_validity, timeout: timeout)
    end

    # paytoken_status as a Hash: counters, and times in milliseconds, -1 where there is none.
    def status
      use { |source| C.source_status(source) }
    end

    # Wipes and frees once no thread uses it any more, and waits for a renewal under way. A later use is an Error.
    def close
      ObjectSpace.undefine_finalizer(self)
      locked { @is_closed = true }
      free_unused
    end

    def inspect
      "#<#{self.class}>"
    end

    def marshal_dump
      raise TypeError, "a Paytoken::Source cannot be marshalled: it holds secrets; make one in each process"
    end

    def initialize_copy(_)
      raise TypeError, "a Paytoken::Source cannot be copied: pass it on, so that its token is shared"
    end

    private

    # What has to be freed, apart from the source, which a finalizer may not know.
    Objects = Struct.new(:config, :source) do
      def self.freer(objects)
        proc { objects.free }
      end

      def free
        C.source_free(source) if source
        C.config_free(config) if config
        self.source = self.config = nil
      end
    end
    private_constant :Objects

    def make(config, settings)
      @objects = Objects.new(config)
      ObjectSpace.define_finalizer(self, Objects.freer(@objects))
      # Calls look into the cache first, so none of them renews: the library has to.
      C.renew_if_tokens_coexist(config)
      settings.each { |name, value| C.set(config, name, value) }
      @objects.source = C.source_new(config)
      start
    end

    def start
      @mutex = Mutex.new
      @flights = {}
      @users = 0
      @process = Process.pid
    end

    def locked(&block)
      @mutex.synchronize(&block)
    rescue ThreadError => e
      raise unless e.message.include?("trap context")

      raise ThreadError, "Ruby allows no lock in a signal handler (trap), so no call of a source; let the handler start a thread: " \
                         "Thread.new { source.token }", cause: nil
    end

    # Runs a call of the library's, during which nothing is freed; in the child of a fork, with a source of its own.
    def use(&call)
      start unless @process == Process.pid # the parent's threads are not here
      source = locked do
        raise Error.new("the source is closed; make another one", C::CLOSED) if @is_closed

        @users += 1
        @objects.source
      end
      begin
        call.call(source)
      ensure
        locked { @users -= 1 }
        free_unused
      end
    rescue Error => e
      raise unless e.code == C::FORKED

      renew_after_fork(source)
      retry
    end

    def renew_after_fork(old)
      locked do
        next unless @objects.source == old

        # The old one is not freed: another thread may be about to be told the same by it.
        @objects.source = C.source_new(@objects.config)
      end
      Paytoken.continue_log
    end

    def free_unused
      objects = locked do
        next unless @is_closed && @users.zero?

        taken = @objects.dup
        @objects.source = @objects.config = nil
        taken
      end
      objects&.free
    end

    def cached(milliseconds)
      use { |source| C.fetch(source, milliseconds, C::CACHED_ONLY) }
    rescue Error => e
      raise unless e.code == C::TIMEOUT
    end

    # The fetch under way for such a token, or a new one: a thread, whose value it is.
    def flight(milliseconds, force)
      use { nil } # closed, or a child of a fork?
      key = [milliseconds, force]
      locked do
        @flights[key] ||= Thread.new do
          Thread.current.report_on_exception = false
          use { |source| C.fetch(source, milliseconds, force ? C::FORCE : 0) }
        ensure
          locked { @flights.delete(key) if @flights[key] == Thread.current }
        end
      end
    end
  end

  # Sends the library's log records, of all sources, to a Logger, from a thread that asks for them ten times a second.
  # A logger of nil ends it.
  def self.log_to(logger, level: :info, capacity: 1024)
    raise C.invalid("log_to: has to be a Logger, or nil") unless logger.nil? || logger.respond_to?(:add)

    @log&.kill&.join
    @log = nil
    number = logger ? C.number(C::LEVELS, level, "level") : 0
    C.expect("log_to", C.set_log_queue(number, capacity))
    @logger = logger
    continue_log
  end

  # In the child of a fork, where the thread is not.
  def self.continue_log
    logger = @logger
    return if logger.nil? || @log&.alive?

    @log = Thread.new do
      loop do
        while (record = C.log_next)
          logger.add(*record, "paytoken")
        end
        sleep 0.1
      rescue StandardError => e
        warn("paytoken: the logger failed: #{e.message}")
      end
    end
  end

  # The library, and its rules for arguments and errors.
  module C
    CLOSED, TIMEOUT, STORE, INVALID_ARGUMENT, FORKED = 100, 4, 10, 103, 104
    FORCE, CACHED_ONLY, AUTHORIZATION = 1, 2, 4
    LEVELS = { error: 1, warn: 2, info: 3, debug: 4 }.freeze
    # For Array#pack, in the order of paytoken.h.
    OPTIONS = "LLQQ"
    STATUS = "LlLLQQQQqqqqqqq"
    STATUS_MEMBERS = %i[size last_error_code provider environment requests tokens failures invalidations token_age_ms token_remaining_ms
                        token_expires_at_ms blocked_for_ms last_error_age_ms certificate_not_after_ms
                        store_error_age_ms].freeze
    KINDS = {
      client_id: :text, client_secret: :text, base_url: :text, user_agent: :text, proxy: :text, store_directory: :text,
      store_url: :text, store_key_file: :text, accept_unsealed: :text, store_ca_file: :text, store_certificate_file: :text,
      store_private_key_file: :text,
      certificate_pem: :bytes, private_key_pem: :bytes, root_certificates_pem: :bytes,
      renew_in_background: :switch, certificate_injected_by_proxy: :mark,
      timeout_ms: :milliseconds, connect_timeout_ms: :milliseconds, retries: :count
    }.freeze

    # The gem's, else what PAYTOKEN_LIBRARY names, else the system's.
    def self.library
      file = RUBY_PLATFORM.include?("darwin") ? "libpaytoken.0.dylib" : "libpaytoken.so.0"
      own = File.join(__dir__, "paytoken", file)
      named = ENV["PAYTOKEN_LIBRARY"]
      named = nil if named == ""
      reasons = []
      [(own if File.exist?(own)), named || file].compact.each do |path|
        return Fiddle.dlopen(path).tap { |library| library["paytoken_log_next"] } # else it is another library
      rescue Fiddle::DLError => e
        reasons << e.message
      end
      raise LoadError, "#{reasons.join('; ')}: no library, neither the gem's (#{own}), nor " + if named
        "what PAYTOKEN_LIBRARY names (#{named}; unset, it would be the system's): correct that"
      else
        "what PAYTOKEN_LIBRARY names (it is not set), nor the system's (#{file}): set it to the path of one for this machine"
      end
    end
    private_class_method :library

    LIBRARY = library
    POINTER, INT, LONG, SIZE, NOTHING = Fiddle::TYPE_VOIDP, Fiddle::TYPE_INT, Fiddle::TYPE_LONG_LONG, Fiddle::TYPE_SIZE_T, Fiddle::TYPE_VOID
    private_constant :LIBRARY, :POINTER, :INT, :LONG, :SIZE, :NOTHING

    # What may block, as paytoken.h says, runs without Ruby's global lock. Everything else keeps it, which is faster.
    def self.function(name, result, types, blocks: false)
      Fiddle::Function.new(LIBRARY["paytoken_#{name}"], types, result, need_gvl: !blocks)
    end
    private_class_method :function

    FUNCTIONS = {
      provider_describe: function("provider_describe", INT, [POINTER, POINTER, POINTER]),
      config_set_value: function("config_set_value", INT, [POINTER, POINTER, POINTER]),
      code_name: function("code_name", POINTER, [INT]),
      config_new: function("config_new", POINTER, [INT, INT]),
      config_from_env: function("config_from_env", INT, [INT, POINTER, POINTER], blocks: true),
      config_error_message: function("config_error_message", POINTER, [POINTER]),
      config_free: function("config_free", NOTHING, [POINTER]),
      source_new: function("source_new", INT, [POINTER, POINTER, POINTER], blocks: true),
      cached: function("source_token_with", INT, [POINTER, POINTER, POINTER, SIZE, POINTER, POINTER]),
      fetch: function("source_token_with", INT, [POINTER, POINTER, POINTER, SIZE, POINTER, POINTER], blocks: true),
      source_invalidate: function("source_invalidate_with", INT, [POINTER, POINTER, POINTER, POINTER], blocks: true),
      source_status: function("source_status", INT, [POINTER, POINTER]),
      source_free: function("source_free", NOTHING, [POINTER], blocks: true),
      error_message: function("error_message", POINTER, [POINTER]),
      error_http_status: function("error_http_status", INT, [POINTER]),
      error_retry_after_ms: function("error_retry_after_ms", LONG, [POINTER]),
      error_is_retryable: function("error_is_retryable", INT, [POINTER]),
      error_free: function("error_free", NOTHING, [POINTER]),
      set_log_queue: function("set_log_queue", INT, [INT, INT]),
      log_next: function("log_next", INT, [POINTER, SIZE, POINTER, POINTER]),
      wipe: function("wipe", NOTHING, [POINTER, SIZE])
    }.freeze
    SETTERS = KINDS.to_h do |name, kind|
      types = { text: [POINTER], bytes: [POINTER, SIZE], switch: [INT], mark: [], milliseconds: [LONG], count: [INT] }[kind]
      [name, function("config_set_#{name}", INT, [POINTER, *types])]
    end.freeze
    private_constant :FUNCTIONS, :SETTERS

    class << self
      def code_name(number) = FUNCTIONS[:code_name].call(number).to_s
      def config_new(provider, environment) = FUNCTIONS[:config_new].call(provider, environment).to_i
      def config_free(config) = FUNCTIONS[:config_free].call(config)
      def source_free(source) = FUNCTIONS[:source_free].call(source)
      def set_log_queue(level, capacity) = FUNCTIONS[:set_log_queue].call(level, capacity)

      def renew_if_tokens_coexist(config) = SETTERS[:renew_in_background].call(config, 2)

      def provider_describe(json)
        number = [0].pack("L")
        with_text("description", json) { |text| checked { |error| FUNCTIONS[:provider_describe].call(text, number, error) } }
        number.unpack1("L")
      end

      def config_from_env(provider)
        made { |place, error| FUNCTIONS[:config_from_env].call(provider, place, error) }
      end

      def source_new(config)
        made { |place, error| FUNCTIONS[:source_new].call(config, place, error) }
      end

      def source_invalidate(source, text)
        checked { |error| FUNCTIONS[:source_invalidate].call(source, text, 0, error) }
      end

      def source_status(source)
        # A library of before knows no store_error_age_ms.
        status = [STATUS_SIZE, *[0] * (STATUS_MEMBERS.size - 2), -1].pack(STATUS)
        expect("status", FUNCTIONS[:source_status].call(source, status))
        STATUS_MEMBERS.zip(status.unpack(STATUS)).to_h.except(:size)
      end

      def fetch(source, milliseconds, flags)
        function = FUNCTIONS[flags == CACHED_ONLY ? :cached : :fetch]
        room = 8192
        loop do
          options = [OPTIONS_SIZE, flags | AUTHORIZATION, milliseconds, 0].pack(OPTIONS)
          buffer = "\0".b * room
          length = [0].pack("J")
          code = checked { |error| function.call(source, options, buffer, room, length, error) }
          length = length.unpack1("J")
          if code.zero?
            token = buffer.byteslice(0, length).force_encoding(Encoding::UTF_8)
            wipe(buffer)
            return token
          end
          room = length + 1
          flags &= ~FORCE # the token is cached now; a second new one would be one too many
        end
      end

      # The oldest record as [severity, message]; nil where there is none.
      def log_next
        @room ||= 2048
        loop do
          buffer = "\0".b * @room
          length = [0].pack("J")
          level = [0].pack("L")
          code = FUNCTIONS[:log_next].call(buffer, @room, length, level)
          length = length.unpack1("J")
          level = level.unpack1("L")
          return if level.zero? && code.zero?
          return [4 - level, buffer.byteslice(0, length).force_encoding(Encoding::UTF_8)] if code.zero?

          @room = length + 1
        end
      end

      # Hands on text as UTF-8 with a NUL at its end, in memory that is wiped. C would cut it at a NUL inside.
      def with_text(name, value)
        raise invalid("#{name}: has to be a String") unless value.is_a?(String)

        text = begin
          value.encode(Encoding::UTF_8)
        rescue EncodingError
          nil
        end
        raise invalid("#{name}: is not text in its encoding (#{value.encoding})"), cause: nil unless text&.valid_encoding?
        raise invalid("#{name}: has a NUL in it; take it out") if text.include?("\0")

        text = "#{text}\0".b
        begin
          yield text
        ensure
          wipe(text)
        end
      end

      def set(config, name, value)
        return set_values(config, value) if name == :values

        kind = KINDS[name] or raise invalid("#{name}: there is no such setting; see paytoken_config_set_... in paytoken.h")
        run = ->(*values) { accept(config, SETTERS[name].call(config, *values)) }
        case kind
        when :text then with_text(name, value, &run)
        when :bytes
          raise invalid("#{name}: has to be a String") unless value.is_a?(String)

          run.call(value, value.bytesize)
        when :milliseconds, :count
          raise invalid("#{name}: has to be a whole number, 0 or more") unless value.is_a?(Integer) && value.between?(0, (2**31) - 1)

          run.call(value)
        else
          raise invalid("#{name}: has to be true or false") unless [true, false].include?(value)

          kind == :switch ? run.call(value ? 1 : 0) : (run.call if value)
        end
      end

      def provider(provider) = provider.is_a?(Described) ? provider.number : number(PROVIDERS, provider, "provider")

      def number(known, name, what)
        known.fetch(name) { raise invalid("#{what}: is none of #{known.keys.join(', ')}") }
      end

      def milliseconds(name, seconds)
        raise invalid("#{name}: has to be 0 or more, in seconds") unless seconds.is_a?(Numeric) && seconds >= 0 && seconds < 2**53

        (seconds * 1000).ceil
      end

      def expect(what, code)
        raise Error.new("#{what}: #{code_name(code)}", code) unless code.zero?
      end

      def invalid(message)
        Error.new(message, INVALID_ARGUMENT)
      end

      private

      def set_values(config, values)
        raise invalid("values: has to be a Hash") unless values.is_a?(Hash)

        values.each do |name, value|
          with_text("values", name.is_a?(Symbol) ? name.name : name) do |own|
            with_text(name, value) { |text| accept(config, FUNCTIONS[:config_set_value].call(config, own, text)) }
          end
        end
      end

      def accept(config, code)
        raise Error.new(utf8(FUNCTIONS[:config_error_message].call(config)), code) unless code.zero?
      end

      def utf8(pointer) = pointer.to_s.force_encoding(Encoding::UTF_8)
      def wipe(text) = FUNCTIONS[:wipe].call(text, text.bytesize)

      def made
        place = [0].pack("J")
        checked { |error| yield place, error }
        place.unpack1("J")
      end

      # Calls with a place for an error, and raises what is there afterwards. A buffer that is too small is no error.
      def checked
        place = [0].pack("J")
        code = yield place
        object = place.unpack1("J")
        return code if object.zero?

        begin
          wait = FUNCTIONS[:error_retry_after_ms].call(object)
          raise Error.new(
            utf8(FUNCTIONS[:error_message].call(object)), code,
            http_status: FUNCTIONS[:error_http_status].call(object),
            retry_after: (wait / 1000.0 unless wait.negative?),
            is_retryable: FUNCTIONS[:error_is_retryable].call(object) == 1
          )
        ensure
          FUNCTIONS[:error_free].call(object)
        end
      end
    end
    OPTIONS_SIZE = ([0] * 4).pack(OPTIONS).bytesize
    STATUS_SIZE = ([0] * STATUS_MEMBERS.size).pack(STATUS).bytesize
  end
  private_constant :C
end
