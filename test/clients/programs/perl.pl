#!/usr/bin/perl
# perl.pl: see protocol.md.
use strict;
use warnings;
use DBI;

$| = 1;
binmode STDIN, ':encoding(UTF-8)';
binmode STDOUT, ':encoding(UTF-8)';

sub content {
    my ($key) = @_;
    open my $file, '<', "/etc/dbpair/app/$key" or die "$key: $!";
    local $/;
    return scalar <$file>;
}

my $db;

sub answer {
    my ($line) = @_;
    if ($line eq 'connect') {
        undef $db;
        $db = DBI->connect(content('dsn-perl'), content('username'), content('password'), { RaiseError => 0, PrintError => 0 });
        return $db ? 'ok' : failure($DBI::err, $DBI::errstr);
    }
    return failure(0, 'not connected') unless $db;
    my $statement = $db->prepare($line);
    return failure($db->err, $db->errstr) unless $statement && $statement->execute;
    return 'ok' unless $statement->{NUM_OF_FIELDS};
    my @row = $statement->fetchrow_array;
    return @row ? "ok\t$row[0]" : 'ok';
}

sub failure {
    my ($code, $text) = @_;
    $text =~ s/[\t\n]/ /g;
    return "error\t$code\tDBI\t$text";
}

my $line = 'connect';
while (defined $line && $line ne '') {
    print answer($line), "\n";
    $line = <STDIN>;
    chomp $line if defined $line;
}
