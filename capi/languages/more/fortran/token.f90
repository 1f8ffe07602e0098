program token
  use iso_c_binding
  implicit none
  interface
    integer(c_int32_t) function from_env(provider, config, error) bind(c, name="paytoken_config_from_env")
      import; integer(c_int32_t), value :: provider; type(c_ptr) :: config, error; end
    integer(c_int32_t) function new(config, source, error) bind(c, name="paytoken_source_new")
      import; type(c_ptr), value :: config; type(c_ptr) :: source, error; end
    integer(c_int32_t) function get(source, validity, buffer, cap, length, error) bind(c, name="paytoken_source_authorization")
      import; type(c_ptr), value :: source; integer(c_int64_t), value :: validity; integer(c_size_t), value :: cap
      character(kind=c_char) :: buffer(*); integer(c_size_t) :: length; type(c_ptr) :: error; end
    integer(c_int32_t) function retryable(error) bind(c, name="paytoken_error_is_retryable")
      import; type(c_ptr), value :: error; end
    type(c_ptr) function message(error) bind(c, name="paytoken_error_message"); import; type(c_ptr), value :: error; end
    subroutine puts(text) bind(c); import; type(c_ptr), value :: text; end
    subroutine config_free(it) bind(c, name="paytoken_config_free"); import; type(c_ptr), value :: it; end
    subroutine source_free(it) bind(c, name="paytoken_source_free"); import; type(c_ptr), value :: it; end
    subroutine error_free(it) bind(c, name="paytoken_error_free"); import; type(c_ptr), value :: it; end
  end interface
  type(c_ptr) :: config = c_null_ptr, source = c_null_ptr, error = c_null_ptr
  character(kind=c_char) :: buffer(8300); integer(c_size_t) :: length; integer :: code, again
  code = from_env(3, config, error) ! 3: PAYTOKEN_SEND_PAYMENTS
  if (code == 0) code = new(config, source, error)
  if (code == 0) code = get(source, 0_c_int64_t, buffer, size(buffer, kind=c_size_t), length, error)
  call config_free(config); call source_free(source) ! a long-lived program keeps the source
  if (code == 0) then; print '(a, i0, a)', 'a value for Authorization, ', length, ' bytes'; stop; end if
  again = retryable(error)
  print '(a)', trim(merge('an outage:', 'refused:  ', again == 1)); flush(6); call puts(message(error)); call error_free(error)
  stop merge(75, 1, again == 1), quiet=.true.
end program
