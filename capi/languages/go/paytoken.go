// Package paytoken gets tokens for payment providers' APIs, through the C library.
//
//	source, err := paytoken.FromEnv(paytoken.SendPayments, paytoken.Settings{}) // one per account, for all goroutines
//	acme, err := paytoken.Describe(map[string]any{"name": "acme", ...})         // any other provider
//	err = source.Call(ctx, func(ctx context.Context, authorization string) (int, error) {
//		request.Header.Set("Authorization", authorization) // one replay where the status is 401
//		...
//	})
//
// A call is answered from the cache where that is possible, within a microsecond. Else it waits for one goroutine that
// fetches for all callers, which takes one OS thread however many wait. A context ends the wait at once, not the fetch,
// whose token is there for the next call.
//
// Go cannot wipe a string: the token's text stays in memory until that is used again. The library's copies are wiped.
// Go's signals reach the library's calls as those of any C code: it goes on after EINTR, and blocks none.
package paytoken

/*
// By pkg-config; with the tag paytoken_path where CGO_CFLAGS and CGO_LDFLAGS say.
#cgo !paytoken_path pkg-config: paytoken
#cgo paytoken_path LDFLAGS: -lpaytoken
#include <stdlib.h>
#include "paytoken.h"

// In C, so that a cached call crosses the border once. The token is in buf, *err is NULL unless the code says so.
static int32_t go_fetch(const paytoken_source *source, uint64_t min_validity_ms, uint32_t flags, char *buf, size_t cap,
                        size_t *len, paytoken_error **err) {
	paytoken_token_options options = {0};
	options.size = sizeof options;
	options.min_validity_ms = min_validity_ms;
	options.flags = flags | PAYTOKEN_AUTHORIZATION;
	return paytoken_source_token_with(source, &options, buf, cap, len, err);
}
*/
import "C"

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// Provider is whose tokens these are.
type Provider uint32

const (
	NTXPay       Provider = C.PAYTOKEN_NTX_PAY
	NexterPay    Provider = C.PAYTOKEN_NEXTER_PAY
	SendPayments Provider = C.PAYTOKEN_SEND_PAYMENTS
)

// Describe gives any other provider, by its description: a map, or whatever else encoding/json makes an object of, with the
// keys of docs/describing-a-provider.md, and name; or JSON text. The same description again gives the same Provider; another
// one under a known name is an error.
func Describe(description any) (Provider, error) {
	text, ok := description.(string)
	if !ok {
		encoded, err := json.Marshal(description)
		if err != nil {
			return 0, invalid("description", err.Error())
		}
		text = string(encoded)
	}
	c, err := cString("description", text)
	if err != nil {
		return 0, err
	}
	defer release(c, len(text))
	var number C.uint32_t
	var object *C.paytoken_error
	if C.paytoken_provider_describe(c, &number, &object) != C.PAYTOKEN_OK {
		return 0, taken(object)
	}
	return Provider(number), nil
}

// Environment is the provider's test system or real money.
type Environment uint32

const (
	Sandbox    Environment = C.PAYTOKEN_SANDBOX
	Production Environment = C.PAYTOKEN_PRODUCTION
)

// Code is one of paytoken.h, where each is explained.
type Code int32

const (
	Configuration     Code = C.PAYTOKEN_CONFIGURATION
	Certificate       Code = C.PAYTOKEN_CERTIFICATE
	Transport         Code = C.PAYTOKEN_TRANSPORT
	Timeout           Code = C.PAYTOKEN_TIMEOUT
	Rejected          Code = C.PAYTOKEN_REJECTED
	Forbidden         Code = C.PAYTOKEN_FORBIDDEN
	RateLimited       Code = C.PAYTOKEN_RATE_LIMITED
	ServerUnavailable Code = C.PAYTOKEN_SERVER_UNAVAILABLE
	InvalidResponse   Code = C.PAYTOKEN_INVALID_RESPONSE
	Store             Code = C.PAYTOKEN_STORE
	Other             Code = C.PAYTOKEN_OTHER
	Panic             Code = C.PAYTOKEN_PANIC
	InvalidArgument   Code = C.PAYTOKEN_INVALID_ARGUMENT
	Forked            Code = C.PAYTOKEN_FORKED
)

func (code Code) String() string { return C.GoString(C.paytoken_code_name(C.int32_t(code))) }

// ErrClosed answers a source that was closed.
var ErrClosed = errors.New("paytoken: the source is closed; make another one")

// Error says why a call failed, and ends with how to fix it; it never holds a secret.
type Error struct {
	Message    string
	Code       Code
	HTTPStatus int           // the provider's; 0 where there was none
	RetryAfter time.Duration // asking earlier is answered at once, without a request; -1 where nobody said so
	Retryable  bool          // about getting a token, never about replaying a payment
}

func (err *Error) Error() string { return "paytoken: " + err.Message }

// Settings are those of paytoken.h; what is zero is left as it is by default, or as the environment says.
type Settings struct {
	ClientID, ClientSecret                            string
	CertificatePEM, PrivateKeyPEM, RootCertificatePEM []byte
	CertificateInjectedByProxy                        bool
	BaseURL, UserAgent, Proxy                         string
	Timeout, ConnectTimeout                           time.Duration
	Retries                                           *uint32
	StoreDirectory, StoreURL, StoreKeyFile            string
	AcceptUnsealed                                    string
	StoreCAFile, StoreCertificateFile                 string
	StorePrivateKeyFile                               string
	Values                                            map[string]string // what a described provider asks for besides
}

// Terms of one call.
type Terms struct {
	MinValidity time.Duration // how long the token has to be good
	Force       bool          // a new token even if the cached one is good
}

// Source gives tokens, to any goroutine. Close it, or the end of the program does.
type Source struct {
	mutex   sync.Mutex
	source  *C.paytoken_source // nil once closed
	users   int                // calls that are in C: the last one frees what was closed meanwhile
	freed   *C.paytoken_source
	flights map[Terms]*flight
	drop    sync.Mutex // one invalidation at a time: with a store it may block, and each takes an OS thread
}

type flight struct {
	landed chan struct{}
	token  string
	err    error
}

// New makes a source from settings.
func New(provider Provider, environment Environment, settings Settings) (*Source, error) {
	config := C.paytoken_config_new(C.uint32_t(provider), C.uint32_t(environment))
	if config == nil {
		return nil, invalid("provider, environment", "one of them is not known; use this package's constants")
	}
	return open(config, settings)
}

// FromEnv reads the environment as the paytoken command does; settings given here count instead. C sees the variables that
// the process was started with, and those of os.Setenv.
func FromEnv(provider Provider, settings Settings) (*Source, error) {
	var config *C.paytoken_config
	var object *C.paytoken_error
	if code := C.paytoken_config_from_env(C.uint32_t(provider), &config, &object); code != C.PAYTOKEN_OK {
		return nil, taken(object)
	}
	return open(config, settings)
}

// Authorization gives the value of an Authorization header.
func (source *Source) Authorization(ctx context.Context, terms Terms) (string, error) {
	if terms.MinValidity < 0 {
		return "", invalid("MinValidity", "is negative; give 0 or more")
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if !terms.Force {
		token, err := source.fetch(terms, C.PAYTOKEN_CACHED_ONLY)
		var known *Error
		if err == nil || !errors.As(err, &known) || known.Code != Timeout {
			return token, err
		}
	}
	fetching := source.flight(terms)
	select {
	case <-fetching.landed:
		return fetching.token, fetching.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Token gives the token alone.
func (source *Source) Token(ctx context.Context, terms Terms) (string, error) {
	authorization, err := source.Authorization(ctx, terms)
	return authorization[strings.LastIndexByte(authorization, ' ')+1:], err
}

// Invalidate tells that the API answered 401 to this token, with or without "Bearer ".
func (source *Source) Invalidate(rejected string) error {
	text, err := cString("rejected", rejected)
	if err != nil {
		return err
	}
	defer release(text, len(rejected))
	// Who asks from now on does not get what a flight of before brings.
	source.mutex.Lock()
	source.flights = nil
	source.mutex.Unlock()
	source.drop.Lock()
	defer source.drop.Unlock()
	return source.use(func(pointer *C.paytoken_source) error {
		var object *C.paytoken_error
		if C.paytoken_source_invalidate_with(pointer, text, nil, &object) != C.PAYTOKEN_OK {
			return taken(object)
		}
		return nil
	})
}

// Call sends a request by send, which returns the HTTP status; and where that is 401, drops that very token and sends it
// once more, never twice: the caller sees what the last send left. A payment that ended in a time-out or a 5xx is not
// replayed, nor is a send that returned an error.
func (source *Source) Call(ctx context.Context, send func(ctx context.Context, authorization string) (int, error)) error {
	authorization, err := source.Authorization(ctx, Terms{})
	if err != nil {
		return err
	}
	status, err := send(ctx, authorization)
	if err != nil || status != 401 {
		return err
	}
	if err := source.Invalidate(authorization); err != nil {
		// In this process it is dropped in any case. A store that could not be updated does not change the answer.
		var known *Error
		if !errors.As(err, &known) || known.Code != Store {
			return err
		}
		log.Print(err)
	}
	authorization, err = source.Authorization(ctx, Terms{})
	if err != nil {
		return err
	}
	_, err = send(ctx, authorization)
	return err
}

// Status is what a source is up to: paytoken_status. Durations are -1 where there is none, times zero.
type Status struct {
	LastError                                 Code // 0: there was none
	Provider                                  Provider
	Environment                               Environment
	Requests, Tokens, Failures, Invalidations uint64
	Age, Remaining                            time.Duration // of the token
	ExpiresAt                                 time.Time
	BlockedFor, LastErrorAge                  time.Duration
	CertificateNotAfter                       time.Time
	StoreErrorAge                             time.Duration // since the store could not be used; -1 where it works
}

// Status never holds a secret.
func (source *Source) Status() (Status, error) {
	// A library from before this member leaves it.
	status := C.paytoken_status{size: C.sizeof_paytoken_status, store_error_age_ms: -1}
	err := source.use(func(pointer *C.paytoken_source) error {
		return expect("Status", C.paytoken_source_status(pointer, &status))
	})
	return Status{
		Code(status.last_error_code), Provider(status.provider), Environment(status.environment),
		uint64(status.requests), uint64(status.tokens), uint64(status.failures), uint64(status.invalidations),
		milliseconds(status.token_age_ms), milliseconds(status.token_remaining_ms), since1970(status.token_expires_at_ms),
		milliseconds(status.blocked_for_ms), milliseconds(status.last_error_age_ms),
		since1970(status.certificate_not_after_ms), milliseconds(status.store_error_age_ms),
	}, err
}

// Close wipes and frees, once no call uses it any more; it waits for a renewal that is under way. Later calls get ErrClosed.
func (source *Source) Close() {
	source.mutex.Lock()
	if source.source != nil {
		source.freed, source.source = source.source, nil
	}
	source.unlock()
}

// unlock frees what was closed, if nobody uses it; without the lock, since it may block.
func (source *Source) unlock() {
	var unused *C.paytoken_source
	if source.users == 0 {
		unused, source.freed = source.freed, nil
	}
	source.mutex.Unlock()
	if unused != nil {
		C.paytoken_source_free(unused)
	}
}

// use runs a call of the library's, during which nothing is freed.
func (source *Source) use(call func(*C.paytoken_source) error) error {
	source.mutex.Lock()
	pointer := source.source
	if pointer == nil {
		source.mutex.Unlock()
		return ErrClosed
	}
	source.users++
	source.mutex.Unlock()
	defer func() {
		source.mutex.Lock()
		source.users--
		source.unlock()
	}()
	return call(pointer)
}

// flight is the fetch under way for such a token, or a new one, in a goroutine of its own.
func (source *Source) flight(terms Terms) *flight {
	source.mutex.Lock()
	defer source.mutex.Unlock()
	if fetching, ok := source.flights[terms]; ok {
		return fetching
	}
	if source.flights == nil {
		source.flights = map[Terms]*flight{}
	}
	fetching := &flight{landed: make(chan struct{})}
	source.flights[terms] = fetching
	go func() {
		var flags C.uint32_t
		if terms.Force {
			flags = C.PAYTOKEN_FORCE
		}
		fetching.token, fetching.err = source.fetch(terms, flags)
		source.mutex.Lock()
		if source.flights[terms] == fetching {
			delete(source.flights, terms)
		}
		source.mutex.Unlock()
		close(fetching.landed)
	}()
	return fetching
}

var buffers = sync.Pool{New: func() any { return new([8192]byte) }}

func (source *Source) fetch(terms Terms, flags C.uint32_t) (token string, err error) {
	err = source.use(func(pointer *C.paytoken_source) error {
		least := C.uint64_t(terms.MinValidity / time.Millisecond)
		if terms.MinValidity%time.Millisecond > 0 {
			least++
		}
		// Go memory that C keeps no pointer to: cgo allows it. Buffers are used again, once they are wiped.
		kept := buffers.Get().(*[8192]byte)
		defer buffers.Put(kept)
		for buffer := kept[:]; ; {
			var length C.size_t
			var object *C.paytoken_error
			code := C.go_fetch(pointer, least, flags, (*C.char)(unsafe.Pointer(&buffer[0])), C.size_t(len(buffer)), &length, &object)
			switch code {
			case C.PAYTOKEN_OK:
				token = string(buffer[:length])
				wipe(unsafe.Pointer(&buffer[0]), int(length))
				return nil
			case C.PAYTOKEN_BUFFER_TOO_SMALL:
				buffer = make([]byte, length+1)
				flags &^= C.PAYTOKEN_FORCE // the token is cached now; a second new one would be one too many
			default:
				return taken(object)
			}
		}
	})
	return token, err
}

// Level of a log record, with the numbers of log/slog.
type Level int

const (
	LevelDebug Level = -4
	LevelInfo  Level = 0
	LevelWarn  Level = 4
	LevelError Level = 8
)

func (level Level) String() string {
	return map[Level]string{LevelDebug: "DEBUG", LevelInfo: "INFO", LevelWarn: "WARN", LevelError: "ERROR"}[level]
}

var logging struct {
	mutex sync.Mutex
	log   func(Level, string) // nil: nobody wants records
	ended chan struct{}       // ends the goroutine that asks for them
}

// LogTo hands the library's log records from this level on, of all sources, to a function, from a goroutine that asks for them ten
// times a second; one function at a time. nil ends it, once the function before has got what is left.
//
//	paytoken.LogTo(paytoken.LevelWarn, func(level paytoken.Level, message string) { log.Print(level, " ", message) })
//	paytoken.LogTo(paytoken.LevelWarn, func(level paytoken.Level, message string) { slog.Log(ctx, slog.Level(level), message) })
func LogTo(level Level, log func(level Level, message string)) error {
	if level.String() == "" {
		return invalid("level", "is none of LevelDebug, LevelInfo, LevelWarn, LevelError")
	}
	number := C.uint32_t(C.PAYTOKEN_LOG_OFF)
	if log != nil {
		number = C.uint32_t((12 - level) / 4)
	}
	handOnRecords()
	logging.mutex.Lock()
	defer logging.mutex.Unlock()
	if err := expect("LogTo", C.paytoken_set_log_queue(number, 1024)); err != nil {
		return err
	}
	logging.log = log
	if logging.ended != nil && log == nil {
		close(logging.ended)
		logging.ended = nil
	} else if logging.ended == nil && log != nil {
		logging.ended = make(chan struct{})
		go func(ended chan struct{}) {
			every := time.NewTicker(100 * time.Millisecond)
			defer every.Stop()
			for {
				select {
				case <-every.C:
					handOnRecords()
				case <-ended:
					return
				}
			}
		}(logging.ended)
	}
	return nil
}

func handOnRecords() {
	for {
		log, level, message := nextRecord()
		if log == nil {
			return
		}
		log(level, message)
	}
}

// nextRecord is the oldest record, and who gets it: nil where there is none.
func nextRecord() (func(Level, string), Level, string) {
	logging.mutex.Lock()
	defer logging.mutex.Unlock()
	for room := C.size_t(2048); logging.log != nil; {
		buffer := make([]byte, room)
		var length C.size_t
		var level C.uint32_t
		if C.paytoken_log_next((*C.char)(unsafe.Pointer(&buffer[0])), room, &length, &level) == C.PAYTOKEN_OK {
			if level == C.PAYTOKEN_LOG_OFF {
				break
			}
			return logging.log, 12 - 4*Level(level), string(buffer[:length])
		}
		room = length + 1
	}
	return nil, 0, ""
}

func open(config *C.paytoken_config, settings Settings) (*Source, error) {
	defer C.paytoken_config_free(config)
	if err := settings.apply(config); err != nil {
		return nil, err
	}
	var source *C.paytoken_source
	var object *C.paytoken_error
	if code := C.paytoken_source_new(config, &source, &object); code != C.PAYTOKEN_OK {
		return nil, taken(object)
	}
	return &Source{source: source}, nil
}

func (settings *Settings) apply(config *C.paytoken_config) error {
	var failed error
	given := func(name, value string, set func(*C.char) C.int32_t) {
		if failed != nil {
			return
		}
		var c *C.char
		if c, failed = cString(name, value); failed == nil {
			failed = accepted(config, set(c))
			release(c, len(value))
		}
	}
	text := func(name, value string, set func(*C.char) C.int32_t) {
		if value != "" {
			given(name, value, set)
		}
	}
	bytes := func(value []byte, set func(*C.uint8_t, C.size_t) C.int32_t) {
		if failed == nil && len(value) > 0 {
			failed = accepted(config, set((*C.uint8_t)(unsafe.Pointer(&value[0])), C.size_t(len(value))))
		}
	}
	limit := func(name string, value time.Duration, set func(C.uint64_t) C.int32_t) {
		if failed != nil || value == 0 {
			return
		}
		if value < time.Millisecond {
			failed = invalid(name, "is less than a millisecond; give more")
			return
		}
		failed = accepted(config, set(C.uint64_t(value/time.Millisecond)))
	}
	text("ClientID", settings.ClientID, func(c *C.char) C.int32_t { return C.paytoken_config_set_client_id(config, c) })
	text("ClientSecret", settings.ClientSecret, func(c *C.char) C.int32_t { return C.paytoken_config_set_client_secret(config, c) })
	text("BaseURL", settings.BaseURL, func(c *C.char) C.int32_t { return C.paytoken_config_set_base_url(config, c) })
	text("UserAgent", settings.UserAgent, func(c *C.char) C.int32_t { return C.paytoken_config_set_user_agent(config, c) })
	text("Proxy", settings.Proxy, func(c *C.char) C.int32_t { return C.paytoken_config_set_proxy(config, c) })
	text("StoreDirectory", settings.StoreDirectory, func(c *C.char) C.int32_t { return C.paytoken_config_set_store_directory(config, c) })
	text("StoreURL", settings.StoreURL, func(c *C.char) C.int32_t { return C.paytoken_config_set_store_url(config, c) })
	text("StoreKeyFile", settings.StoreKeyFile, func(c *C.char) C.int32_t { return C.paytoken_config_set_store_key_file(config, c) })
	text("AcceptUnsealed", settings.AcceptUnsealed, func(c *C.char) C.int32_t { return C.paytoken_config_set_accept_unsealed(config, c) })
	text("StoreCAFile", settings.StoreCAFile, func(c *C.char) C.int32_t { return C.paytoken_config_set_store_ca_file(config, c) })
	text("StoreCertificateFile", settings.StoreCertificateFile, func(c *C.char) C.int32_t { return C.paytoken_config_set_store_certificate_file(config, c) })
	text("StorePrivateKeyFile", settings.StorePrivateKeyFile, func(c *C.char) C.int32_t { return C.paytoken_config_set_store_private_key_file(config, c) })
	for name, value := range settings.Values {
		own, err := cString("Values", name)
		if err != nil {
			return err
		}
		given(name, value, func(c *C.char) C.int32_t { return C.paytoken_config_set_value(config, own, c) })
		release(own, len(name))
	}
	bytes(settings.CertificatePEM, func(p *C.uint8_t, n C.size_t) C.int32_t { return C.paytoken_config_set_certificate_pem(config, p, n) })
	bytes(settings.PrivateKeyPEM, func(p *C.uint8_t, n C.size_t) C.int32_t { return C.paytoken_config_set_private_key_pem(config, p, n) })
	bytes(settings.RootCertificatePEM, func(p *C.uint8_t, n C.size_t) C.int32_t {
		return C.paytoken_config_set_root_certificates_pem(config, p, n)
	})
	limit("Timeout", settings.Timeout, func(ms C.uint64_t) C.int32_t { return C.paytoken_config_set_timeout_ms(config, ms) })
	limit("ConnectTimeout", settings.ConnectTimeout, func(ms C.uint64_t) C.int32_t { return C.paytoken_config_set_connect_timeout_ms(config, ms) })
	if failed == nil && settings.Retries != nil {
		failed = accepted(config, C.paytoken_config_set_retries(config, C.uint32_t(*settings.Retries)))
	}
	if failed == nil && settings.CertificateInjectedByProxy {
		failed = accepted(config, C.paytoken_config_set_certificate_injected_by_proxy(config))
	}
	// Calls look into the cache first, so none of them renews: the library has to.
	if failed == nil {
		failed = accepted(config, C.paytoken_config_set_renew_in_background(config, C.PAYTOKEN_RENEW_IF_TOKENS_COEXIST))
	}
	return failed
}

// taken makes an Error of an object, and frees that.
func taken(object *C.paytoken_error) error {
	defer C.paytoken_error_free(object)
	return &Error{
		Message:    C.GoString(C.paytoken_error_message(object)),
		Code:       Code(C.paytoken_error_code(object)),
		HTTPStatus: int(C.paytoken_error_http_status(object)),
		RetryAfter: milliseconds(C.paytoken_error_retry_after_ms(object)),
		Retryable:  C.paytoken_error_is_retryable(object) == 1,
	}
}

// accepted turns a setter's code into an error.
func accepted(config *C.paytoken_config, code C.int32_t) error {
	if code == C.PAYTOKEN_OK {
		return nil
	}
	return &Error{Message: C.GoString(C.paytoken_config_error_message(config)), Code: Code(code), RetryAfter: -1}
}

func expect(what string, code C.int32_t) error {
	if code == C.PAYTOKEN_OK {
		return nil
	}
	return &Error{Message: fmt.Sprintf("%s: %s", what, Code(code)), Code: Code(code), RetryAfter: -1}
}

func invalid(what, why string) error {
	return &Error{Message: what + ": " + why, Code: InvalidArgument, RetryAfter: -1}
}

func milliseconds(value C.int64_t) time.Duration {
	if value < 0 {
		return -1
	}
	return time.Duration(value) * time.Millisecond
}

func since1970(value C.int64_t) time.Time {
	if value < 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(value))
}

// cString copies text for C, which would cut it at a NUL in silence.
func cString(name, text string) (*C.char, error) {
	if strings.ContainsRune(text, 0) {
		return nil, invalid(name, "has a NUL in it; take it out")
	}
	return C.CString(text), nil
}

func release(text *C.char, length int) {
	wipe(unsafe.Pointer(text), length)
	C.free(unsafe.Pointer(text))
}

func wipe(memory unsafe.Pointer, length int) { C.paytoken_wipe(memory, C.size_t(length)) }
