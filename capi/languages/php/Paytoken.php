<?php
/**
 * paytoken for PHP 8.1 and newer, by FFI: tokens for payment providers' APIs.
 *
 *     $source = Paytoken\Source::fromEnv(Paytoken\Provider::SendPayments);
 *     $accounts = $source->call(fn (string $authorization) => getAccounts($authorization)); // [status, answer]
 *     $acme = Paytoken\Provider::describe(['name' => 'acme', ...]);                         // any other provider
 *
 * PHP serves requests from many processes, and starts each request with nothing in memory: set a store directory
 * (PAYTOKEN_STORE, or store_directory), through which all of them share one token. A call that has to fetch blocks its own
 * process, for no longer than timeout_ms. Under FPM, PHP allows FFI to preloaded files alone; in php.ini:
 *
 *     ffi.enable = preload
 *     ffi.preload = /usr/local/include/paytoken_php.h
 *     opcache.preload = /path/of/Paytoken.php
 */

declare(strict_types=1);

namespace Paytoken;

use FFI;

enum Provider: int
{
    case NtxPay = 1;
    case NexterPay = 2;
    case SendPayments = 3;

    /**
     * Any other provider, by its description: an array (or JSON text) with the keys of docs/describing-a-provider.md, and
     * name. What this gives stands wherever a Provider does. The same description again gives the same; another one under
     * a known name is an Error, for as long as the process lives.
     *
     * @param array<string, mixed>|string $description
     */
    public static function describe(array|string $description): Described
    {
        try {
            $text = is_string($description) ? $description : json_encode($description, JSON_THROW_ON_ERROR);
        } catch (\JsonException $why) {
            throw Library::invalid("description: {$why->getMessage()}");
        }
        Library::text('description', $text);
        $ffi = Library::ffi();
        $number = $ffi->new('uint32_t');
        Library::check(fn ($error) => $ffi->paytoken_provider_describe($text, FFI::addr($number), $error));
        return new Described($number->cdata);
    }
}

/** A provider that was described; the value is its number, as Source::status tells it. */
final class Described
{
    public function __construct(public readonly int $value)
    {
    }
}

enum Environment: int
{
    case Sandbox = 1;
    case Production = 2;
}

/** Why a call failed. The message ends with how to fix it, and never holds a secret. getCode() is PAYTOKEN_REJECTED and its like. */
final class Error extends \RuntimeException
{
    /**
     * @param string   $name         the code's name, such as "PAYTOKEN_REJECTED"
     * @param int      $httpStatus   of the provider's answer; 0 where there was none
     * @param int|null $retryAfterMs how long to wait before asking again; asking earlier is answered without a request
     * @param bool     $isRetryable  whether getting a token may succeed later; never about replaying a payment
     */
    public function __construct(
        string $message,
        int $code,
        public readonly string $name,
        public readonly int $httpStatus = 0,
        public readonly ?int $retryAfterMs = null,
        public readonly bool $isRetryable = false,
    ) {
        parent::__construct($message, $code);
    }
}

/** Gives tokens. One per account: keep it for as long as the process lives. */
final class Source
{
    private ?FFI\CData $source;
    private readonly FFI\CData $config;

    /**
     * Settings are named as in paytoken.h, paytoken_config_set_...: ['client_id' => ..., 'client_secret' => ...,
     * 'certificate_pem' => ..., 'timeout_ms' => 5000, 'store_directory' => '/var/lib/shop/paytoken']. What a described
     * provider asks for besides is in 'values' => ['shop' => '7', 'api_key' => ...].
     *
     * @param array<string, string|int|bool|array<string, string>> $settings
     */
    public function __construct(Provider|Described $provider, Environment $environment, #[\SensitiveParameter] array $settings)
    {
        $this->open(Library::ffi()->paytoken_config_new($provider->value, $environment->value), $settings);
    }

    /**
     * From the environment, as the paytoken command reads it; settings given here count instead.
     *
     * @param array<string, string|int|bool|array<string, string>> $settings
     */
    public static function fromEnv(Provider|Described $provider, #[\SensitiveParameter] array $settings = []): self
    {
        $ffi = Library::ffi();
        $config = $ffi->new('paytoken_config *');
        Library::check(fn ($error) => $ffi->paytoken_config_from_env($provider->value, FFI::addr($config), $error));
        $made = (new \ReflectionClass(self::class))->newInstanceWithoutConstructor();
        $made->open($config, $settings);
        return $made;
    }

    /** The value of an Authorization header. "Bearer " is in front of the token. */
    public function authorization(int $minValidityMs = 0, bool $force = false): string
    {
        return $this->fetch($minValidityMs, $force, Library::ffi()->PAYTOKEN_AUTHORIZATION);
    }

    public function token(int $minValidityMs = 0, bool $force = false): string
    {
        return $this->fetch($minValidityMs, $force, 0);
    }

    /** The API answered 401 to this token, with or without "Bearer ". */
    public function invalidate(#[\SensitiveParameter] string $rejected): void
    {
        $ffi = Library::ffi();
        Library::text('rejected', $rejected);
        $this->run(fn ($source) => Library::check(
            fn ($error) => $ffi->paytoken_source_invalidate_with($source, $rejected, null, $error),
        ));
    }

    /**
     * Sends a request, and where the API answers 401, drops that very token and sends it once more: never twice. A
     * payment that ended in a time-out or a 5xx is not replayed.
     *
     * @template T
     * @param callable(string): array{int, T} $send gets the header's value, gives the HTTP status and the answer
     * @return array{int, T}
     */
    public function call(callable $send, int $minValidityMs = 0): array
    {
        $authorization = $this->authorization($minValidityMs);
        $answer = $send($authorization);
        if (!is_int($answer[0] ?? null)) {
            throw new \UnexpectedValueException('call: the function has to return [HTTP status as int, answer]');
        }
        if ($answer[0] !== 401) {
            return $answer;
        }
        try {
            $this->invalidate($authorization);
        } catch (Error $error) {
            // Here it is dropped in any case. That other processes were not told does not change the answer.
            if ($error->getCode() !== Library::ffi()->PAYTOKEN_STORE) {
                throw $error;
            }
            trigger_error($error->getMessage(), E_USER_WARNING);
        }
        return $send($this->authorization($minValidityMs));
    }

    /** @return array<string, int> paytoken_status: counters and times in milliseconds, -1 where there is none */
    public function status(): array
    {
        $ffi = Library::ffi();
        $status = $ffi->new('paytoken_status');
        $status->size = FFI::sizeof($status);
        $this->run(fn ($source) => Library::code('status', $ffi->paytoken_source_status($source, FFI::addr($status))));
        $members = [];
        foreach (FFI::typeof($status)->getStructFieldNames() as $name) {
            $members[$name] = $status->$name;
        }
        unset($members['size']);
        return $members;
    }

    /** Wipes and frees. A later use is an Error. */
    public function close(): void
    {
        if (isset($this->source)) {
            Library::ffi()->paytoken_source_free($this->source);
            Library::ffi()->paytoken_config_free($this->config);
        }
        $this->source = null;
    }

    public function __destruct()
    {
        $this->close();
    }

    public function __clone()
    {
        $this->source = null; // the copy is destroyed, and may free nothing
        throw new \LogicException('a Paytoken\Source cannot be cloned: pass it on, so that its token is shared');
    }

    public function __serialize(): array
    {
        throw new \LogicException('a Paytoken\Source cannot be serialized: it holds secrets');
    }

    public function __debugInfo(): array
    {
        return [];
    }

    private function open(?FFI\CData $config, #[\SensitiveParameter] array $settings): void
    {
        $ffi = Library::ffi();
        $this->source = null;
        try {
            foreach ($settings as $name => $value) {
                Library::set($config, $name, $value);
            }
            $source = $ffi->new('paytoken_source *');
            Library::check(fn ($error) => $ffi->paytoken_source_new($config, FFI::addr($source), $error));
        } catch (\Throwable $error) {
            $ffi->paytoken_config_free($config);
            throw $error;
        }
        $this->config = $config;
        $this->source = $source;
    }

    private function fetch(int $minValidityMs, bool $force, int $flags): string
    {
        if ($minValidityMs < 0) {
            throw Library::invalid('minValidityMs: is negative; give 0 or more');
        }
        $ffi = Library::ffi();
        $options = $ffi->new('paytoken_token_options');
        $options->size = FFI::sizeof($options);
        $options->min_validity_ms = $minValidityMs;
        $options->flags = $flags | ($force ? $ffi->PAYTOKEN_FORCE : 0);
        $length = $ffi->new('size_t');
        for ($room = 8192; ; $room = $length->cdata + 1) {
            $buffer = $ffi->new("char[$room]");
            $code = $this->run(fn ($source) => Library::check(fn ($error) => $ffi->paytoken_source_token_with(
                $source,
                FFI::addr($options),
                $buffer,
                $room,
                FFI::addr($length),
                $error,
            )));
            if ($code === $ffi->PAYTOKEN_OK) {
                $token = FFI::string($buffer, $length->cdata);
                $ffi->paytoken_wipe($buffer, $length->cdata);
                return $token;
            }
            // The token is cached now; a second new one would be one too many.
            $options->flags = $flags;
        }
    }

    /** Runs a call of the library's; in a child of pcntl_fork, with a source of its own. */
    private function run(callable $call): int
    {
        $source = $this->source ?? throw new Error('the source is closed; make another one', 100, 'PAYTOKEN_NULL_ARGUMENT');
        try {
            return $call($source);
        } catch (Error $error) {
            $ffi = Library::ffi();
            if ($error->getCode() !== $ffi->PAYTOKEN_FORKED) {
                throw $error;
            }
            $own = $ffi->new('paytoken_source *');
            Library::check(fn ($error) => $ffi->paytoken_source_new($this->config, FFI::addr($own), $error));
            $ffi->paytoken_source_free($source);
            $this->source = $own;
            return $call($own);
        }
    }
}

/** The library itself, loaded once, and its rules for arguments and errors. */
final class Library
{
    private static ?FFI $ffi = null;

    public static function ffi(): FFI
    {
        return self::$ffi ??= self::load();
    }

    private static function load(): FFI
    {
        try {
            return FFI::scope('paytoken'); // preloaded
        } catch (FFI\Exception) {
            return FFI::cdef(
                file_get_contents(getenv('PAYTOKEN_HEADER') ?: '/usr/local/include/paytoken_ffi.h'),
                getenv('PAYTOKEN_LIBRARY') ?: 'libpaytoken.so.0',
            );
        }
    }

    /** Calls with a place for an error; throws what is there afterwards. A buffer that is too small is no error. */
    public static function check(callable $call): int
    {
        $ffi = self::ffi();
        $place = $ffi->new('paytoken_error *');
        $code = $call(FFI::addr($place));
        if (FFI::isNull($place)) {
            return $code;
        }
        $wait = $ffi->paytoken_error_retry_after_ms($place);
        $error = new Error(
            $ffi->paytoken_error_message($place),
            $code,
            $ffi->paytoken_code_name($code),
            $ffi->paytoken_error_http_status($place),
            $wait < 0 ? null : $wait,
            $ffi->paytoken_error_is_retryable($place) === 1,
        );
        $ffi->paytoken_error_free($place);
        throw $error;
    }

    /** Throws unless the code is PAYTOKEN_OK. */
    public static function code(string $what, int $code, string $why = ''): int
    {
        if ($code !== 0) {
            $name = self::ffi()->paytoken_code_name($code);
            throw new Error($why ?: "$what: $name", $code, $name);
        }
        return $code;
    }

    /** C would cut the text at its first NUL, in silence. */
    public static function text(string $name, #[\SensitiveParameter] string $value): void
    {
        if (str_contains($value, "\0")) {
            throw Library::invalid("$name: has a NUL in it; take it out");
        }
    }

    public static function set(?FFI\CData $config, string $name, #[\SensitiveParameter] mixed $value): void
    {
        $ffi = self::ffi();
        if ($name === 'values') {
            self::setValues($config, $value);
            return;
        }
        $setter = "paytoken_config_set_$name";
        $isNumber = in_array($name, ['timeout_ms', 'connect_timeout_ms', 'retries'], true);
        $isSwitch = in_array($name, ['renew_in_background', 'certificate_injected_by_proxy'], true);
        // FFI would make a number of anything.
        if ($isNumber ? !is_int($value) || $value < 0 : ($isSwitch ? !is_bool($value) : !is_string($value))) {
            $type = $isNumber ? 'a number, 0 or more' : ($isSwitch ? 'true or false' : 'a string');
            throw Library::invalid("$name: has to be $type");
        }
        try {
            if (str_ends_with($name, '_pem')) {
                $bytes = $ffi->new('uint8_t[' . max(1, strlen($value)) . ']');
                FFI::memcpy($bytes, $value, strlen($value));
                $code = $ffi->$setter($config, $bytes, strlen($value));
                $ffi->paytoken_wipe($bytes, strlen($value));
            } elseif ($name === 'certificate_injected_by_proxy') {
                $code = $value ? $ffi->$setter($config) : 0;
            } else {
                if (!$isNumber && !$isSwitch) {
                    self::text($name, $value);
                }
                $code = $ffi->$setter($config, $isSwitch ? (int) $value : $value);
            }
        } catch (FFI\Exception) {
            throw Library::invalid("$name: there is no such setting; see paytoken_config_set_... in paytoken.h");
        }
        self::code($name, $code, $ffi->paytoken_config_error_message($config));
    }

    private static function setValues(?FFI\CData $config, #[\SensitiveParameter] mixed $values): void
    {
        if (!is_array($values)) {
            throw self::invalid('values: has to be an array');
        }
        $ffi = self::ffi();
        foreach ($values as $name => $value) {
            $name = (string) $name;
            if (!is_string($value)) {
                throw self::invalid("$name: has to be a string");
            }
            self::text('values', $name);
            self::text($name, $value);
            self::code($name, $ffi->paytoken_config_set_value($config, $name, $value), $ffi->paytoken_config_error_message($config));
        }
    }

    public static function invalid(string $message): Error
    {
        return new Error($message, 103, 'PAYTOKEN_INVALID_ARGUMENT');
    }
}
