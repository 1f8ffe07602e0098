<?php

declare(strict_types=1);

namespace Paytoken;

use FFI;

/**
 * Gives tokens. One per account: keep it for as long as the process lives.
 *
 *     $source = Paytoken\Source::fromEnv(Paytoken\Provider::SendPayments);
 *     $accounts = $source->call(fn (string $authorization) => getAccounts($authorization)); // [status, answer]
 *     $acme = Paytoken\Provider::describe(['name' => 'acme', ...]);                         // any other provider
 *
 * PHP serves requests from many processes, and starts each request with nothing in memory: set a store directory
 * (PAYTOKEN_STORE, or store_directory), through which all of them share one token. A call that has to fetch blocks its own
 * process, for no longer than timeout_ms. Under FPM, PHP allows FFI to preloaded files alone: see preload.php.
 */
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
        $status->store_error_age_ms = -1; // a library of before knows no such member
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
