use strict; use warnings;
use FFI::Platypus 2.00;
use FFI::Platypus::Buffer qw(grow scalar_to_pointer);

my $ffi = FFI::Platypus->new(api => 2, lib => $ENV{PAYTOKEN_LIBRARY} // 'libpaytoken.so.0');
$ffi->attach(paytoken_config_from_env => ['uint32', 'opaque*', 'opaque*'] => 'sint32');
$ffi->attach(paytoken_source_new => ['opaque', 'opaque*', 'opaque*'] => 'sint32');
$ffi->attach(paytoken_source_authorization => ['opaque', 'uint64', 'opaque', 'size_t', 'size_t*', 'opaque*'] => 'sint32');
$ffi->attach("paytoken_error_$_->[0]" => ['opaque'] => $_->[1]) for ['message', 'string'], ['is_retryable', 'sint32'];
$ffi->attach("paytoken_${_}_free" => ['opaque'] => 'void') for qw(config source error);
$ffi->attach(paytoken_wipe => ['opaque', 'size_t'] => 'void');

my ($config, $source, $error, $value);
my $code = paytoken_config_from_env(3, \$config, \$error); # 3: PAYTOKEN_SEND_PAYMENTS
$code ||= paytoken_source_new($config, \$source, \$error);
paytoken_config_free($config);
if ($code == 0) {
    grow(my $room, 8300);
    my $buffer = scalar_to_pointer($room);
    $code = paytoken_source_authorization($source, 0, $buffer, 8300, \my $length, \$error);
    $value = substr $room, 0, $length if $code == 0;
    paytoken_wipe($buffer, 8300);
}
# A long-lived program keeps the source, and frees it at its end.
paytoken_source_free($source);
my $outage = paytoken_error_is_retryable($error);
if ($code == 0) { printf "a value for Authorization, %d bytes\n", length $value }
else { printf "%s: %s\n", $outage ? 'an outage' : 'refused', paytoken_error_message($error) }
paytoken_error_free($error);
exit($code == 0 ? 0 : $outage ? 75 : 1);
