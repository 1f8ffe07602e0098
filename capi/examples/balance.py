"""The C library from Python: a token for Send Payments, and one replay where the API answers 401."""
import ctypes, os, ssl, urllib.error, urllib.request

lib = ctypes.CDLL(os.environ.get("PAYTOKEN_LIBRARY", "libpaytoken.so.0"))
lib.paytoken_error_message.restype = ctypes.c_char_p
config, source, error = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()

def check(code):
    if code != 0:
        raise SystemExit(lib.paytoken_error_message(error).decode())

check(lib.paytoken_config_from_env(3, ctypes.byref(config), ctypes.byref(error)))  # PAYTOKEN_SEND_PAYMENTS
check(lib.paytoken_source_new(config, ctypes.byref(source), ctypes.byref(error)))
token = ctypes.create_string_buffer(8192)
context = ssl.create_default_context(cafile=os.environ.get("PAYTOKEN_CA"))
for attempt in (1, 2):
    check(lib.paytoken_source_token(source, ctypes.c_uint64(0), token, ctypes.c_size_t(8192), None, ctypes.byref(error)))
    request = urllib.request.Request(os.environ["SENDPAYMENTS_BASE_URL"] + "/accounts")
    request.add_header("Authorization", "Bearer " + token.value.decode())
    try:
        print(urllib.request.urlopen(request, timeout=15, context=context).read().decode())
        break
    except urllib.error.HTTPError as answer:
        if answer.code != 401 or attempt == 2:
            raise
        lib.paytoken_source_invalidate(source, token)
