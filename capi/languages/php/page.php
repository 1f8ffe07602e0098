<?php
// A page of PHP's web server, where FFI is for preloaded files alone, as under FPM: asked by test.php.

declare(strict_types=1);

try {
    FFI::cdef('int getpid(void);');
    echo "FFI is for all";
} catch (FFI\Exception) {
    $source = Paytoken\Source::fromEnv(Paytoken\Provider::SendPayments);
    echo str_starts_with($source->authorization(), 'Bearer ') ? "served" : "no header";
}
