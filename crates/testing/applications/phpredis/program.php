<?php
// Sessions of PHP with phpredis and its session lock, as a web server runs them: every request is a process of
// its own. Each step prints what its request saw as one line of JSON, without identifiers and times.
//
// php program.php HOST PORT            the steps
// php program.php HOST PORT ID ACTION  one request, or a burst of them, within the session ID
//
// Environment: STEP_TIMEOUT, seconds that a step may wait for something.

declare(strict_types=1);

[, $host, $port] = $argv;
$step_timeout = (int) (getenv('STEP_TIMEOUT') ?: 30);
$failures = [];
const BURST = 25;

/** Marks every value that the recipe seals, and nothing else. */
function secret(string $text): string
{
    return "amatista $text Ñandú «corazón» 😀";
}

/** Starts this program as a process for one request. */
function start(string $id, string $action): array
{
    global $host, $port, $step_timeout;
    $settings = [
        'display_errors' => 'stderr',
        'log_errors' => '0',
        'html_errors' => '0',
        'session.save_handler' => 'redis',
        'session.save_path' => "tcp://$host:$port",
        'session.use_strict_mode' => '0',
        'redis.session.locking_enabled' => '1',
        'redis.session.lock_expire' => '600',
        'redis.session.lock_wait_time' => '2000',
        'redis.session.lock_retries' => (string) ($step_timeout * 500),
    ];
    $command = [PHP_BINARY];
    foreach ($settings as $name => $value) {
        array_push($command, '-d', "$name=\"$value\"");
    }
    array_push($command, __FILE__, $host, $port, $id, $action);
    $process = proc_open($command, [1 => ['pipe', 'w'], 2 => ['pipe', 'w']], $pipes);
    return [$process, $pipes];
}

/** Waits for it and returns its output, and PHP's warnings. */
function finish(array $started): array
{
    [$process, $pipes] = $started;
    $output = trim(stream_get_contents($pipes[1]));
    $complaints = trim(stream_get_contents($pipes[2]));
    proc_close($process);
    return [json_decode($output, true), preg_replace('/ in \/.*/s', '', $complaints)];
}

/** Prints an observation; the program fails at the end if it is not the expected one. */
function saw(string $what, array $seen, array $wanted): void
{
    global $failures;
    if ($seen != $wanted) {
        $failures[] = "$what: saw " . json_encode($seen) . ', wanted ' . json_encode($wanted);
    }
    echo json_encode(['saw' => $what, 'value' => $seen], JSON_UNESCAPED_UNICODE), "\n";
}

/** A request that must show this without warnings. */
function ask(string $what, string $id, string $action, array $wanted): void
{
    saw($what, finish(start($id, $action)), [$wanted, '']);
}

/** Handles one request. */
function act(string $action): array
{
    session_start();
    switch ($action) {
        case 'log in':
            $_SESSION = ['name' => secret('Ana'), 'visits' => 1];
            break;
        case 'visit':
            $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
            break;
        case 'burst':
            // Updates are lost unless the lock works: other requests do the same concurrently.
            for ($i = 1; $i < BURST; $i += 1) {
                $before = $_SESSION['visits'];
                usleep(1000);
                $_SESSION['visits'] = $before + 1;
                session_write_close();
                session_start();
            }
            $_SESSION['visits'] += 1;
            session_write_close();
            return ['burst' => true];
        case 'new id':
            // As at a login, against session fixation: the old record is deleted.
            $old = session_id();
            session_regenerate_id(true);
            $new = session_id();
            session_write_close();
            session_id($new);
            session_start();
            $seen = ['new' => $old !== $new, 'visits' => $_SESSION['visits']];
            session_destroy();
            return $seen;
        case 'read':
            $seen = $_SESSION;
            session_abort();
            return $seen;
    }
    $seen = $_SESSION;
    session_write_close();
    return $seen;
}

if (isset($argv[4])) {
    session_id($argv[3]);
    echo json_encode(act($argv[4]), JSON_UNESCAPED_UNICODE);
    exit;
}

echo json_encode(['versions' => 'phpredis ' . phpversion('redis')]), "\n";
$ana = ['name' => secret('Ana')];
ask('login', 'cestaDeLaCompra01', 'log in', $ana + ['visits' => 1]);
ask('second request', 'cestaDeLaCompra01', 'visit', $ana + ['visits' => 2]);
ask('third request', 'cestaDeLaCompra01', 'visit', $ana + ['visits' => 3]);
$both = [start('cestaDeLaCompra01', 'burst'), start('cestaDeLaCompra01', 'burst')];
$done = [['burst' => true], ''];
saw('two at once', array_map('finish', $both), [$done, $done]);
ask('no update was lost', 'cestaDeLaCompra01', 'read', $ana + ['visits' => 3 + 2 * BURST]);
ask('another session', 'otraSesion02', 'visit', ['visits' => 1]);
ask('new id', 'otraSesion02', 'new id', ['new' => true, 'visits' => 1]);
ask('after it', 'otraSesion02', 'read', []);
$redis = new Redis();
$redis->connect($host, (int) $port);
$names = $redis->keys('PHPREDIS_SESSION:*');
saw('no lock is left', $names, ['PHPREDIS_SESSION:cestaDeLaCompra01']);

if ($failures) {
    fwrite(STDERR, implode("\n", $failures) . "\n");
    exit(1);
}
