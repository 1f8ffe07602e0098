#include <caml/alloc.h>
#include <caml/memory.h>
#include <caml/signals.h>
#include <paytoken.h>

value token(value unit) { /* (kind, text): 0 the value, 1 refused, 2 an outage */
    CAMLparam1(unit);
    CAMLlocal2(text, pair);
    paytoken_config *config = NULL;
    paytoken_source *source = NULL; /* a long-lived program keeps it, and frees it at its end */
    paytoken_error *error = NULL;
    char buffer[8300] = "";
    caml_enter_blocking_section(); /* OCaml's other threads go on meanwhile */
    int32_t code = paytoken_config_from_env(PAYTOKEN_SEND_PAYMENTS, &config, &error);
    if (code == PAYTOKEN_OK) code = paytoken_source_new(config, &source, &error);
    if (code == PAYTOKEN_OK) code = paytoken_source_authorization(source, 0, buffer, sizeof buffer, NULL, &error);
    paytoken_config_free(config), paytoken_source_free(source);
    caml_leave_blocking_section();
    text = caml_copy_string(code == PAYTOKEN_OK ? buffer : paytoken_error_message(error));
    pair = caml_alloc_tuple(2);
    Store_field(pair, 0, Val_int(code == PAYTOKEN_OK ? 0 : 1 + paytoken_error_is_retryable(error)));
    Store_field(pair, 1, text);
    paytoken_wipe(buffer, sizeof buffer), paytoken_error_free(error);
    CAMLreturn(pair);
}
