<?php
// primary returns a connection to whichever of the hosts accepts writes.
function primary(array $hosts): mysqli
{
    $secret = fn (string $key): string => file_get_contents('/etc/dbpair/app/' . $key);
    mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
    foreach (greeted($hosts) as $host) {
        try {
            $db = mysqli_init();
            $db->options(MYSQLI_OPT_CONNECT_TIMEOUT, 5);
            $db->options(MYSQLI_OPT_READ_TIMEOUT, 10);
            $db->options(MYSQLI_OPT_SSL_VERIFY_SERVER_CERT, true);
            $db->ssl_set(null, null, '/etc/dbpair/app/ca.crt', null, null);
            $db->real_connect($host, $secret('username'), $secret('password'), $secret('database'), 3306, null, MYSQLI_CLIENT_SSL);
            if (!$db->query('SELECT @@GLOBAL.read_only')->fetch_row()[0]) {
                return $db;
            }
        } catch (mysqli_sql_exception) {
            continue; // it takes no clients now
        }
    }
    throw new RuntimeException('none of ' . implode(', ', $hosts) . ' accepts writes');
}

// greeted are the hosts whose server speaks within half a second, each as soon as it does: mysqli's own limits are whole seconds, for one
// host after the other.
function greeted(array $hosts): Generator
{
    $asked = [];
    foreach ($hosts as $host) {
        $flags = STREAM_CLIENT_CONNECT | STREAM_CLIENT_ASYNC_CONNECT;
        if ($socket = @stream_socket_client("tcp://$host:3306", $code, $text, 0.5, $flags)) {
            stream_set_blocking($socket, false);
            $asked[$host] = $socket;
        }
    }
    $end = microtime(true) + 0.5;
    while ($asked && ($left = $end - microtime(true)) > 0) {
        $speak = $asked;
        $none = null;
        if (!stream_select($speak, $none, $none, 0, (int) ($left * 1e6))) {
            break;
        }
        foreach ($speak as $host => $socket) {
            if ((string) @fread($socket, 1) !== '') {
                yield $host;
            }
            fclose($socket);
            unset($asked[$host]);
        }
    }
}
