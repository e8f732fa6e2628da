<?php
// findprimary.php HOST...: see protocol.md; it connects to whichever of the hosts accepts writes.
require __DIR__ . '/primary.php';

ini_set('display_errors', 'stderr');
$db = null;
$line = 'connect';
do {
    try {
        if ($line === 'connect') {
            $db = primary(array_slice($argv, 1));
            echo "ok\n";
            continue;
        }
        $result = $db->query($line);
        echo $result instanceof mysqli_result ? "ok\t{$result->fetch_row()[0]}\n" : "ok\n";
    } catch (Throwable $e) {
        printf("error\t%s\t%s\t%s\n", $e->getCode(), get_class($e), strtr($e->getMessage(), "\t\n", '  '));
    }
} while (($line = fgets(STDIN)) !== false && ($line = rtrim($line, "\n")) !== '');
