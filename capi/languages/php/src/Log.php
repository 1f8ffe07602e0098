<?php

declare(strict_types=1);

namespace Paytoken;

use FFI;

/** The library's log records, of all sources: never a secret. */
final class Log
{
    private const LEVELS = ['error' => 1, 'warning' => 2, 'info' => 3, 'debug' => 4];

    /** @var \Closure(string, string): mixed|null */
    private static ?\Closure $log = null;
    private static bool $isSending = false;

    /**
     * Sends them to a PSR-3 logger, or to a function that gets the level's name and the message: each time that a call of a
     * source has ended, within that call, as PHP has no threads. What the renewal of one of them logs comes with the next call,
     * or with Log::next. A logger that throws changes no call's outcome: error_log gets what it says. Null ends it.
     *
     * @param \Psr\Log\LoggerInterface|callable(string, string): mixed|null $logger
     * @param string $level "error", "warning", "info" or "debug": records up to this one
     */
    public static function to(\Psr\Log\LoggerInterface|callable|null $logger, string $level = 'info', int $capacity = 1024): void
    {
        $number = self::LEVELS[$level] ?? throw Library::invalid('level: is none of ' . implode(', ', array_keys(self::LEVELS)));
        $code = Library::ffi()->paytoken_set_log_queue($logger === null ? 0 : $number, $capacity);
        Library::code('capacity: has to be 1 to 65,536', $code);
        self::$log = $logger instanceof \Psr\Log\LoggerInterface ? $logger->log(...) : ($logger === null ? null : $logger(...));
    }

    /** Sends what there is now. */
    public static function next(): void
    {
        if (self::$log === null || self::$isSending) {
            return; // what a logger causes itself, by a source of its own, comes the next time
        }
        self::$isSending = true;
        try {
            for ($records = []; ($record = self::taken()) !== null;) {
                $records[] = $record;
            }
            $log = self::$log;
            foreach ($records as $record) {
                $log(...$record);
            }
        } catch (\Throwable $why) {
            error_log("paytoken: the logger failed: {$why->getMessage()}");
        } finally {
            self::$isSending = false;
        }
    }

    /** @return array{string, string}|null the oldest record: its level, its message */
    private static function taken(): ?array
    {
        $ffi = Library::ffi();
        $length = $ffi->new('size_t');
        $level = $ffi->new('uint32_t');
        for ($room = 2048; ; $room = $length->cdata + 1) {
            $buffer = $ffi->new("char[$room]");
            if ($ffi->paytoken_log_next($buffer, $room, FFI::addr($length), FFI::addr($level)) === $ffi->PAYTOKEN_OK) {
                $name = array_search($level->cdata, self::LEVELS, true);
                return $name === false ? null : [$name, FFI::string($buffer, $length->cdata)];
            }
        }
    }
}
