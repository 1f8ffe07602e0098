<?php
// A page under FPM, asked by hosts_php of ../parts.sh: prints "served", and its process with what that holds.

declare(strict_types=1);

require getenv('SHOP') . '/vendor/autoload.php';

try {
    FFI::cdef('int getpid(void);');
    exit("FFI is for all\n");
} catch (FFI\Exception) {
    // For preloaded files alone, as it should be.
}
try {
    $source = Paytoken\Source::fromEnv(Paytoken\Provider::SendPayments);
    $header = $source->authorization(force: isset($_GET['force']));
} catch (Paytoken\Error $error) {
    exit("{$error->getMessage()}\n");
}
preg_match('/^Threads:\s+(\d+)/m', file_get_contents('/proc/self/status'), $threads);
echo implode(' ', [
    str_starts_with($header, 'Bearer ') ? 'served' : 'no header', getmypid(), $threads[1], count(scandir('/proc/self/fd')) - 2,
    defined('Paytoken\Described::MADE_ANEW') ? 'new' : 'old',
]), "\n";
