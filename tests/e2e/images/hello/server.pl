# Answers every request but /die; HELLO_MODE says how it misbehaves: exit, silent, error.
use strict;
use warnings;
use IO::Socket::INET;

$| = 1;
my $mode = $ENV{HELLO_MODE} // '';
if ($mode eq 'exit') {
    print STDERR "cannot open /etc/hello.conf\n";
    exit 3;
}
$SIG{TERM} = sub { exit 0 };
if ($mode eq 'silent') {
    print "waiting for a licence server\n";
    sleep 1 while 1;
}

my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 64, ReuseAddr => 1) or die "$!";
my $status = $mode eq 'error' ? '503 Service Unavailable' : '200 OK';
while (my $client = $server->accept) {
    my $length = 0;
    while (my $line = <$client>) {
        exit 9 if $line =~ m{^GET /die };
        $length = $1 if $line =~ /^content-length:\s*(\d+)/i;
        last if $line =~ /^\r?\n$/;
    }
    read $client, my $body, $length if $length;
    print $client "HTTP/1.1 $status\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n"
        . "Connection: close\r\n\r\nhello\n";
    close $client;
}
