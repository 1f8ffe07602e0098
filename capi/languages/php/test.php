<?php
// The package, as Composer installed it, against the sandbox: run by capi/languages/run with the path of its autoload.php.

declare(strict_types=1);

require $argv[1];

use Paytoken\Environment;
use Paytoken\Error;
use Paytoken\Log;
use Paytoken\Provider;
use Paytoken\Source;

function check(bool $holds, string $what): void
{
    if (!$holds) {
        throw new LogicException("not so: $what");
    }
}

function control(string $method, string $path): mixed
{
    $context = stream_context_create(['http' => ['method' => $method]]);
    return json_decode(file_get_contents(getenv('PAYTOKEN_SANDBOX_CONTROL') . $path, false, $context), true);
}

function requests(string $service = 'send-payments'): int
{
    return control('GET', '/stats')[$service]['token_requests'];
}

/** @return array{int, string} */
function accounts(string $authorization): array
{
    $context = stream_context_create([
        'http' => ['header' => "Authorization: $authorization", 'ignore_errors' => true],
        'ssl' => ['cafile' => getenv('PAYTOKEN_CA')],
    ]);
    $body = file_get_contents(getenv('SENDPAYMENTS_BASE_URL') . '/accounts', false, $context);
    return [(int) explode(' ', $http_response_header[0])[1], $body];
}

function failure(callable $call): Error
{
    try {
        $call();
    } catch (Error $error) {
        return $error;
    }
    throw new LogicException('this was to fail');
}

function each_provider_gives_a_header(): void
{
    foreach (Provider::cases() as $provider) {
        $source = Source::fromEnv($provider);
        $header = $source->authorization();
        check($header === 'Bearer ' . $source->token() && strlen($header) > 20, $provider->name);
        check($source->status()['requests'] === 1, 'one request');
        $source->token(force: true);
        check($source->status()['requests'] === 2, 'force asks once');
    }
    $by_hand = new Source(Provider::NtxPay, Environment::Sandbox, [
        'client_id' => getenv('NTXPAY_CLIENT_ID'), 'client_secret' => getenv('NTXPAY_CLIENT_SECRET'),
        'certificate_pem' => file_get_contents(getenv('NTXPAY_CLIENT_CERT')),
        'private_key_pem' => file_get_contents(getenv('NTXPAY_CLIENT_KEY')),
        'root_certificates_pem' => file_get_contents(getenv('PAYTOKEN_CA')), 'base_url' => getenv('NTXPAY_BASE_URL'),
        'timeout_ms' => 5000, 'retries' => 1, 'renew_in_background' => true,
    ]);
    check(str_starts_with($by_hand->authorization(), 'Bearer '), 'settings by hand');
}

function a_described_provider_gives_a_header(): void
{
    $played = [
        'name' => 'played', 'token_endpoint' => '/auth', 'auth' => 'none', 'body' => 'json', 'renewal' => 'replaces-previous',
        'fields' => ['clientId' => '{shop}', 'clientSecret' => '{api_key}'], 'identity' => ['shop'], 'secrets' => ['api_key'],
        'token' => '/accessToken', 'expires_at' => '/expiresAt',
    ];
    $terms = [
        'base_url' => getenv('SENDPAYMENTS_BASE_URL'), 'root_certificates_pem' => file_get_contents(getenv('PAYTOKEN_CA')),
        'values' => ['shop' => getenv('SENDPAYMENTS_CLIENT_ID'), 'api_key' => getenv('SENDPAYMENTS_CLIENT_SECRET')],
    ];
    $its = Provider::describe($played);
    $source = new Source($its, Environment::Sandbox, $terms);
    check($source->call(accounts(...))[0] === 200, 'the API takes it');
    check($source->authorization() === 'Bearer ' . $source->token(), 'a header');
    check($source->status()['provider'] === $its->value, 'its number');
    check(Provider::describe(json_encode($played, JSON_PRETTY_PRINT)) == $its, 'the same once more');
    $other = new Source(Provider::describe(['name' => 'other', 'prefix' => 'Token'] + $played), Environment::Sandbox, $terms);
    check($other->authorization() === 'Token ' . $other->token(), 'another prefix');
    putenv('PLAYED_SHOP=' . $terms['values']['shop']);
    putenv('PLAYED_API_KEY=' . $terms['values']['api_key']);
    check(str_starts_with(Source::fromEnv($its, array_diff_key($terms, ['values' => 0]))->authorization(), 'Bearer '), 'from the environment');
    $secret = $key = 'not-a-real-secret';
    $acme = Paytoken\Provider::describe([
        'name' => 'acme', 'token_endpoint' => 'https://auth.acme.example/oauth2/token',
        'auth' => 'client_secret_basic', 'renewal' => 'coexists',
        'headers' => ['x-api-key' => '{api_key}'], 'secrets' => ['api_key'],
    ]);
    $source = new Paytoken\Source($acme, Paytoken\Environment::Production, [
        'client_id' => 'merchant-7', 'client_secret' => $secret, 'values' => ['api_key' => $key],
    ]);
    check($source->status()['provider'] === $acme->value, 'the page\'s');
    foreach ([[[], 'JSON object'], ['{', 'not JSON'], [['renewal' => 'coexists'] + $played, 'otherwise'], [['name' => "\xff"], 'UTF-8'],
        [['name' => 'new', 'sekrets' => []] + $played, 'secrets'], [['name' => NAN], 'description: '], ["{}\0", 'NUL']] as [$wrong, $says]) {
        $error = failure(fn () => Provider::describe($wrong));
        check(str_contains($error->getMessage(), $says) && in_array($error->getCode(), [1, 103], true), $error->getMessage());
    }
    foreach ([[['shopp' => '7'], 'shopp: not known for played; it takes shop, api_key'], [['a-key-of-mine' => 'api_key'], 'name: '],
        [['shop' => 7], 'shop: has to be a string'], ['shop', 'values: '], [['shop'], 'name: not known'], [['shop' => "a\0b"], 'shop: ']] as [$wrong, $says]) {
        $error = failure(fn () => new Source($its, Environment::Sandbox, ['values' => $wrong] + $terms));
        check($error->getCode() === 103 && str_starts_with($error->getMessage(), $says), $error->getMessage());
    }
}

function a_wrong_secret_is_told_and_remembered(): void
{
    $source = Source::fromEnv(Provider::SendPayments, ['client_id' => 'señor', 'client_secret' => 'contraseña']);
    for ($i = 0; $i < 2; $i++) {
        $error = failure(fn () => $source->authorization());
        check($error->name === 'PAYTOKEN_REJECTED' && $error->getCode() === 5 && $error->httpStatus === 401, 'typed');
        check($error->retryAfterMs > 10000 && !$error->isRetryable, 'when to ask again');
    }
    check(control('GET', '/stats')['send-payments']['token_requests_by_client'] === ['señor' => 1], 'one request, UTF-8');
    $resident = fn () => (int) explode(' ', file_get_contents('/proc/self/statm'))[1] * 4;
    for ($i = 0; $i < 20000; $i++) {
        $before = $i === 10000 ? $resident() : $before ?? 0;
        failure(fn () => $source->authorization());
    }
    check($resident() - $before < 1024, 'no error object is left behind');
}

function a_401_is_replayed_once(): void
{
    $source = Source::fromEnv(Provider::SendPayments);
    $sent = [];
    $send = function (string $authorization) use (&$sent): array {
        $sent[] = $authorization;
        return accounts($authorization);
    };
    control('POST', '/send-payments/fault?kind=status=401&times=1&endpoint=api');
    check($source->call($send)[0] === 200 && count($sent) === 2 && $sent[0] !== $sent[1], 'one replay, another token');
    control('POST', '/send-payments/fault?kind=status=401&times=2&endpoint=api');
    check($source->call($send)[0] === 401 && count($sent) === 4, 'the second 401 is handed back');
    $requests = requests();
    $source->invalidate('Bearer of-yesterday');
    check($source->token() !== '' && requests() === $requests, 'an old token changes nothing');
}

function what_cannot_be_passed_on_is_an_error(): void
{
    foreach (['client_secret' => "a\0b", 'store_directory' => "a\0b", 'base_url' => "\xff", 'timeout_ms' => -1,
        'retries' => 'many', 'client_id' => 7, 'cliend_id' => 'x', 'renew_in_background' => 1] as $name => $value) {
        $error = failure(fn () => Source::fromEnv(Provider::SendPayments, [$name => $value]));
        check($error->name === 'PAYTOKEN_INVALID_ARGUMENT' && str_starts_with($error->getMessage(), "$name:"), $name);
    }
    check(failure(fn () => Source::fromEnv(Provider::SendPayments, ['timeout_ms' => 0]))->getCode() === 1, 'a time-out of 0');
    $source = Source::fromEnv(Provider::SendPayments);
    check(failure(fn () => $source->invalidate("a\0b"))->getCode() === 103, 'a NUL in a token');
    check(failure(fn () => $source->token(-1))->getCode() === 103, 'a negative time');
    check(!str_contains(print_r($source, true), 'secret'), 'nothing in dumps');
    foreach ([fn () => clone $source, fn () => serialize($source)] as $copy) {
        try {
            $copy();
            throw new Exception('a copy was made');
        } catch (LogicException) {
            check($source->token() !== '', 'and the source goes on');
        }
    }
    $source->close();
    $source->close();
    check(str_contains(failure(fn () => $source->token())->getMessage(), 'closed'), 'used after close');
    check(str_contains(failure(fn () => $source->status())->getMessage(), 'closed'), 'status after close');
}

function workers_share_a_request(): void
{
    $store = sys_get_temp_dir() . '/paytoken-php-' . getmypid();
    $source = Source::fromEnv(Provider::SendPayments, ['store_directory' => $store]);
    $children = [];
    for ($i = 0; $i < 8; $i++) {
        $child = pcntl_fork();
        if ($child === 0) {
            // The parent's source is replaced by one of this child's.
            $ok = false;
            try {
                $ok = $source->call(accounts(...))[0] === 200;
            } catch (Throwable $error) {
                fwrite(STDERR, $error->getMessage() . "\n");
            }
            posix_kill(getmypid(), $ok ? SIGUSR1 : SIGUSR2); // ends without destructors
        }
        $children[] = $child;
    }
    foreach ($children as $child) {
        pcntl_waitpid($child, $status);
        check(pcntl_wifsignaled($status) && pcntl_wtermsig($status) === SIGUSR1, 'a worker');
    }
    check(requests() === 1, 'eight workers, ' . requests() . ' requests');
    $source->token();
    check(requests() === 1, 'and the parent');
    array_map(unlink(...), glob("$store/{,.}[!.]*", GLOB_BRACE));
    rmdir($store);
}

function a_store_that_is_away_is_seen(): void
{
    $store = sys_get_temp_dir() . '/paytoken-php-' . getmypid();
    $source = Source::fromEnv(Provider::SendPayments, ['store_directory' => $store]);
    $source->token();
    check($source->status()['store_error_age_ms'] === -1, 'the store works');
    array_map(unlink(...), glob("$store/{,.}[!.]*", GLOB_BRACE));
    rmdir($store);
    touch($store); // a file is there now
    $logged = [];
    Log::to(function (string $level, string $message) use (&$logged, $source) {
        $logged[] = [$level, $message];
        failure(fn () => $source->token(force: true)); // logs, too: neither without end nor at once
    });
    failure(fn () => $source->token(force: true));
    [$level, $message] = $logged[0];
    check($level === 'warning' && str_contains($message, $store) && str_contains($message, 'check the directory'), "$level: $message");
    check($source->status()['store_error_age_ms'] >= 0, 'it does not');
    Log::to(fn () => throw new Exception('the disk is full'));
    $was = ini_set('error_log', "$store.log");
    check(failure(fn () => $source->token(force: true))->name === 'PAYTOKEN_STORE', 'a logger changes no outcome');
    ini_set('error_log', $was);
    check(str_contains(file_get_contents("$store.log"), 'the disk is full'), 'and is told of');
    $records = count($logged);
    foreach ([[fn () => 1, 'loud', 1], [fn () => 1, 'info', 0], [fn () => 1, 'info', 70000], [fn () => 1, 'info', -1]] as $wrong) {
        $error = failure(fn () => Log::to(...$wrong));
        check($error->getCode() === 103 && preg_match('/^(level|capacity): /', $error->getMessage()) === 1, $error->getMessage());
    }
    Log::to(null);
    Log::next();
    failure(fn () => $source->token(force: true));
    check(count($logged) === $records && $records === 1, 'no records any more');
    unlink($store);
    unlink("$store.log");
}

/** Sees that no token of the sandbox's gets into a log. */
function what_happens_is_logged(): void
{
    $lines = [];
    Log::to(function (string $level, string $message) use (&$lines) {
        $lines[] = "$level: $message";
    }, 'debug', 2);
    $token = Source::fromEnv(Provider::SendPayments)->token();
    Log::to(null);
    $text = implode("\n", $lines);
    check(count($lines) > 1 && str_contains($text, 'send-payments') && !str_contains($text, $token), $text);
}

function the_library_is_found_in_three_places(): void
{
    $package = dirname((new ReflectionClass(Source::class))->getFileName(), 2);
    [$library] = glob("$package/natives/*/*");
    $copy = sys_get_temp_dir() . '/paytoken-php-' . getmypid();
    mkdir("$copy/src", recursive: true);
    foreach (['preload.php', 'paytoken_ffi.h', ...array_map(fn ($file) => "src/$file", preg_grep('/php$/', scandir("$package/src")))] as $file) {
        copy("$package/$file", "$copy/$file");
    }
    $said = function (array $environment) use ($copy): string {
        $script = 'require $argv[1]; try { Paytoken\\Library::ffi(); echo "found"; } catch (Paytoken\\Error $error) { echo $error->getMessage(); }';
        $php = proc_open([PHP_BINARY, '-r', $script, "$copy/preload.php"], [1 => ['pipe', 'w']], $pipes, null, $environment + getenv());
        $text = stream_get_contents($pipes[1]);
        proc_close($php);
        return $text;
    };
    try {
        check($said(['PAYTOKEN_LIBRARY' => $library]) === 'found', 'PAYTOKEN_LIBRARY');
        check($said(['LD_LIBRARY_PATH' => dirname($library)]) === 'found', 'the system\'s');
        $none = $said([]);
        check(str_contains($none, "the package's ($copy/natives/") && str_contains($none, 'PAYTOKEN_LIBRARY names (it is not set)')
            && str_contains($none, "the system's (libpaytoken.so.0)"), $none);
        $wrong = $said(['PAYTOKEN_LIBRARY' => '/nowhere', 'LD_LIBRARY_PATH' => dirname($library)]);
        check(str_contains($wrong, '/nowhere') && str_contains($wrong, 'correct that'), $wrong);
        mkdir(dirname("$copy/" . substr($library, strlen("$package/"))), recursive: true);
        copy($library, "$copy/" . substr($library, strlen("$package/")));
        check($said(['PAYTOKEN_LIBRARY' => '/nowhere']) === 'found', 'the package\'s first');
    } finally {
        $all = new RecursiveIteratorIterator(new RecursiveDirectoryIterator($copy, FilesystemIterator::SKIP_DOTS), RecursiveIteratorIterator::CHILD_FIRST);
        foreach ($all as $file) {
            $file->isDir() ? rmdir((string) $file) : unlink((string) $file);
        }
        rmdir($copy);
    }
}

function figures(): void
{
    $source = Source::fromEnv(Provider::SendPayments);
    $source->authorization();
    $began = hrtime(true);
    for ($i = 0; $i < 50000; $i++) {
        $source->authorization();
    }
    printf("   PHP: %d cached calls/s\n", 50000 / ((hrtime(true) - $began) / 1e9));
}

set_error_handler(fn ($level, $message) => throw new ErrorException($message));
foreach ([each_provider_gives_a_header(...), a_described_provider_gives_a_header(...), a_wrong_secret_is_told_and_remembered(...), a_401_is_replayed_once(...),
    what_cannot_be_passed_on_is_an_error(...), workers_share_a_request(...),
    a_store_that_is_away_is_seen(...), what_happens_is_logged(...), the_library_is_found_in_three_places(...), figures(...)] as $test) {
    control('POST', '/reset');
    $test();
}
echo "ok     PHP\n";
