<?php
// php.php KEY: see protocol.md. KEY is mysqli.php or pdo.php.
$file = '/etc/dbpair/app/' . $argv[1];

function report(Throwable $e): void
{
    $code = $e instanceof PDOException ? ($e->errorInfo[1] ?? $e->getCode()) : $e->getCode();
    printf("error\t%s\t%s\t%s\n", $code, get_class($e), strtr($e->getMessage(), "\t\n", '  '));
}

// Warnings of the driver would be lines of their own.
error_reporting(E_ALL & ~E_WARNING);
ini_set('display_errors', 'stderr');
$db = null;
$line = 'connect';
do {
    try {
        if ($line === 'connect') {
            $db = null;
            $db = require $file;
            echo "ok\n";
            continue;
        }
        $result = $db->query($line);
        $row = null;
        if ($result instanceof mysqli_result) {
            $row = $result->fetch_row();
        } elseif ($result instanceof PDOStatement && $result->columnCount() > 0) {
            $row = $result->fetch(PDO::FETCH_NUM);
        }
        echo $row ? "ok\t{$row[0]}\n" : "ok\n";
    } catch (Throwable $e) {
        report($e);
    }
} while (($line = fgets(STDIN)) !== false && ($line = rtrim($line, "\n")) !== '');
