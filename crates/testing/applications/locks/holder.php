<?php
// Takes the lock of one PHP session through the proxy, repeatedly, and records that directly at the server.
//
// php holder.php HOST PROXY SERVER ID LIFETIME
//
// The lifetime is in milliseconds, a whole number of seconds. Ends when the record `stop` exists.

declare(strict_types=1);

[, $host, $proxy, $server, $id] = $argv;
$lifetime = (int) $argv[5];
$settings = [
    'session.save_handler' => 'redis',
    'session.save_path' => "tcp://$host:$proxy",
    'session.use_strict_mode' => '0',
    'session.use_cookies' => '0',
    'session.cache_limiter' => '',
    'redis.session.locking_enabled' => '1',
    'redis.session.lock_expire' => (string) intdiv($lifetime, 1000),
    // One more attempt, immediately.
    'redis.session.lock_retries' => '1',
    'redis.session.lock_wait_time' => '1',
];
foreach ($settings as $name => $value) {
    ini_set($name, $value);
}

$redis = new Redis();
$redis->connect($host, (int) $server);
$scripts = [];
foreach (['enter', 'leave'] as $name) {
    $scripts[$name] = $redis->script('load', file_get_contents(__DIR__ . "/$name.lua"));
}

function say(string $name, string $me, int $until): string
{
    global $redis, $scripts;
    $arguments = ['witness', 'overlaps', 'counts', $me, (string) $until];
    return $redis->evalSha($scripts[$name], $arguments, 3);
}

function milliseconds(): int
{
    return (int) (microtime(true) * 1000);
}

// A lock held by another process raises a notice: the session is read but will not be written. A lock that
// expired before the session was written raises a warning. Anything else ends the process.
set_error_handler(function (int $_, string $message): bool {
    global $is_locked;
    if (str_contains($message, 'Acquire of session lock was not successful')) {
        $is_locked = false;
    } elseif (!preg_match('/Failed to (refresh session lock|write session data)/', $message)) {
        throw new ErrorException($message);
    }
    return true;
});

for ($turn = 1; !$redis->exists('stop'); $turn += 1) {
    $me = getmypid() . ":$turn";
    $until = milliseconds() + $lifetime;
    session_id($id);
    $is_locked = true;
    session_start();
    if (!$is_locked) {
        session_abort();
        usleep(random_int(1000, 10000));
        continue;
    }
    $entered = say('enter', $me, $until) === 'entered';
    $_SESSION['turns'] = ($_SESSION['turns'] ?? 0) + 1;
    // Some hold it long enough to be killed meanwhile.
    usleep(random_int(1, 5) === 1 ? random_int(20000, 60000) : random_int(1000, 10000));
    // Too slow: another holder has the lock by the time this one releases it.
    $is_slow = $entered && random_int(1, 40) === 1;
    if ($is_slow) {
        usleep(max(0, $until - milliseconds()) * 1000 + random_int(0, 20000));
    }
    say('leave', $me, $until);
    // Both release the lock; without writing the session, its owner is not checked first.
    $is_slow ? session_abort() : session_write_close();
}
