<?php

declare(strict_types=1);

namespace Paytoken;

use FFI;

/** The library itself, loaded once, and its rules for arguments and errors. */
final class Library
{
    private static ?FFI $ffi = null;

    public static function ffi(): FFI
    {
        return self::$ffi ??= self::load();
    }

    /** The package's, else what PAYTOKEN_LIBRARY names, else the system's. */
    private static function load(): FFI
    {
        $package = dirname(__DIR__);
        try {
            FFI::cdef();
        } catch (\Throwable $why) {
            throw self::absent("FFI is not allowed here ({$why->getMessage()}): install ext-ffi, and where PHP serves requests, "
                . "preload $package/preload.php (opcache.preload)");
        }
        [$system, $name] = match (PHP_OS_FAMILY) {
            'Windows' => ['windows', 'paytoken.dll'],
            'Darwin' => ['macos', 'libpaytoken.0.dylib'],
            default => ['linux-gnu', 'libpaytoken.so.0'],
        };
        $machine = ['AMD64' => 'x86_64', 'arm64' => 'aarch64', 'ARM64' => 'aarch64'][php_uname('m')] ?? php_uname('m');
        $own = "$package/natives/$machine-$system/$name";
        $named = getenv('PAYTOKEN_LIBRARY');
        $reasons = [];
        foreach ([...(is_file($own) ? [$own] : []), $named ?: $name] as $file) {
            try {
                return FFI::cdef(file_get_contents("$package/paytoken_ffi.h"), $file);
            } catch (FFI\Exception $why) {
                $reasons[] = $why->getMessage();
            }
        }
        throw self::absent(implode('; ', $reasons) . ": no library, neither the package's ($own), nor " . ($named
            ? "what PAYTOKEN_LIBRARY names ($named; unset, it would be the system's): correct that"
            : "what PAYTOKEN_LIBRARY names (it is not set), nor the system's ($name): set it to the path of one for this machine"));
    }

    private static function absent(string $message): Error
    {
        return new Error($message, 1, 'PAYTOKEN_CONFIGURATION');
    }

    /** Calls with a place for an error; throws what is there afterwards. A buffer that is too small is no error. */
    public static function check(callable $call): int
    {
        $ffi = self::ffi();
        $place = $ffi->new('paytoken_error *');
        $code = $call(FFI::addr($place));
        Log::next();
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
