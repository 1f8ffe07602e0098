<?php
/**
 * All of paytoken at once: for opcache.preload, without which FPM allows no FFI, and for programs without Composer's autoloader.
 */

declare(strict_types=1);

array_map(static fn (string $file) => require_once $file, glob(__DIR__ . '/src/*.php'));
