// The wrapper against the sandbox: run by capi/languages/run.
package paytoken

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var background = context.Background()

func control(t testing.TB, method, path string) []byte {
	t.Helper()
	request, _ := http.NewRequest(method, os.Getenv("PAYTOKEN_SANDBOX_CONTROL")+path, nil)
	answer, err := http.DefaultClient.Do(request)
	if err != nil || answer.StatusCode != 200 {
		t.Fatal(err, answer)
	}
	defer answer.Body.Close()
	var body [65536]byte
	length := 0
	for err == nil {
		var got int
		got, err = answer.Body.Read(body[length:])
		length += got
	}
	return body[:length]
}

type counts struct {
	Requests int            `json:"token_requests"`
	Issued   int            `json:"tokens_issued"`
	ByClient map[string]int `json:"token_requests_by_client"`
}

func stats(t testing.TB, service string) counts {
	t.Helper()
	var all map[string]counts
	if err := json.Unmarshal(control(t, "GET", "/stats"), &all); err != nil {
		t.Fatal(err)
	}
	return all[service]
}

func fromEnv(t testing.TB, provider Provider, settings Settings) *Source {
	t.Helper()
	control(t, "POST", "/reset")
	source, err := FromEnv(provider, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	return source
}

func code(err error) Code {
	var known *Error
	if errors.As(err, &known) {
		return known.Code
	}
	return 0
}

func field(t testing.TB, file, name string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), name)
	number, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func read(t *testing.T, variable string) []byte {
	t.Helper()
	content, err := os.ReadFile(os.Getenv(variable))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestEachProviderGivesAHeader(t *testing.T) {
	for _, provider := range []Provider{NTXPay, NexterPay, SendPayments} {
		source := fromEnv(t, provider, Settings{})
		header, err := source.Authorization(background, Terms{})
		token, _ := source.Token(background, Terms{MinValidity: time.Second})
		if err != nil || header != "Bearer "+token || len(token) < 20 {
			t.Fatal(err)
		}
		if _, err := source.Token(background, Terms{Force: true}); err != nil {
			t.Fatal(err)
		}
		if status, err := source.Status(); err != nil || status.Requests != 2 || status.Remaining <= 0 {
			t.Fatal(status, err)
		}
	}
	retries := uint32(0)
	source, err := New(NTXPay, Sandbox, Settings{
		ClientID: os.Getenv("NTXPAY_CLIENT_ID"), ClientSecret: os.Getenv("NTXPAY_CLIENT_SECRET"),
		CertificatePEM: read(t, "NTXPAY_CLIENT_CERT"), PrivateKeyPEM: read(t, "NTXPAY_CLIENT_KEY"),
		RootCertificatePEM: read(t, "PAYTOKEN_CA"), BaseURL: os.Getenv("NTXPAY_BASE_URL"), Timeout: 5 * time.Second, Retries: &retries,
		StoreDirectory: filepath.Join(t.TempDir(), "store"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if _, err := source.Token(background, Terms{}); err != nil {
		t.Fatal(err)
	}
}

func TestADescribedProviderGivesAHeader(t *testing.T) {
	control(t, "POST", "/reset")
	played := map[string]any{
		"name": "played", "token_endpoint": "/auth", "auth": "none", "body": "json", "renewal": "replaces-previous",
		"fields": map[string]string{"clientId": "{shop}", "clientSecret": "{api_key}"}, "identity": []string{"shop"},
		"secrets": []string{"api_key"}, "token": "/accessToken", "expires_at": "/expiresAt",
	}
	settings := Settings{
		BaseURL: os.Getenv("SENDPAYMENTS_BASE_URL"), RootCertificatePEM: read(t, "PAYTOKEN_CA"),
		Values: map[string]string{"shop": os.Getenv("SENDPAYMENTS_CLIENT_ID"), "api_key": os.Getenv("SENDPAYMENTS_CLIENT_SECRET")},
	}
	its, err := Describe(played)
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"Bearer", "", "Token"} {
		description := map[string]any{"prefix": prefix}
		for key, value := range played {
			description[key] = value
		}
		if prefix != "Bearer" {
			description["name"], description["renewal"] = "with-"+strings.ToLower(prefix)+"-0", "coexists"
		}
		provider, err := Describe(description)
		if err != nil || (provider == its) != (prefix == "Bearer") || provider <= SendPayments {
			t.Fatal(provider, err)
		}
		source, err := New(provider, Sandbox, settings)
		if err != nil {
			t.Fatal(err)
		}
		header, err := source.Authorization(background, Terms{})
		token, _ := source.Token(background, Terms{})
		if err != nil || header != strings.TrimPrefix(prefix+" "+token, " ") || len(token) < 20 {
			t.Fatal(err)
		}
		source.Close()
	}
	secret, key := "not-a-real-secret", "not-a-real-key"
	source, err := func() (*Source, error) {
		acme, err := Describe(map[string]any{
			"name": "acme", "token_endpoint": "https://auth.acme.example/oauth2/token",
			"auth": "client_secret_basic", "renewal": "coexists",
			"headers": map[string]string{"x-api-key": "{api_key}"}, "secrets": []string{"api_key"},
		})
		if err != nil {
			return nil, err
		}
		return New(acme, Production, Settings{
			ClientID: "merchant-7", ClientSecret: secret, Values: map[string]string{"api_key": key},
		})
	}()
	if err != nil {
		t.Fatal(err)
	}
	source.Close()
	for wrong, says := range map[any]string{"{}": "name: not set", "{": "not JSON", "": "JSON object", "{}\x00": "NUL", "\xff": "UTF-8", 7: "JSON object"} {
		if _, err := Describe(wrong); err == nil || !strings.Contains(err.Error(), says) {
			t.Fatal(wrong, err)
		}
	}
	if _, err := Describe(map[string]any{"name": func() {}}); code(err) != InvalidArgument {
		t.Fatal(err)
	}
	for name, says := range map[string]string{"shopp": "shopp: not known for played; it takes shop, api_key", "a-key-of-mine": "name: ", "sh\x00op": "Values: "} {
		settings.Values = map[string]string{name: "api_key-of-mine"}
		if _, err := New(its, Sandbox, settings); code(err) != InvalidArgument || !strings.Contains(err.Error(), says) {
			t.Fatal(err)
		}
	}
	settings.Values = map[string]string{"shopp": ""}
	if _, err := New(its, Sandbox, settings); code(err) != InvalidArgument {
		t.Fatal("an empty value under a name that is not known:", err)
	}
	settings.Values = map[string]string{"shop": "a\x00b"}
	if _, err := New(its, Sandbox, settings); code(err) != InvalidArgument || !strings.Contains(err.Error(), "shop: ") {
		t.Fatal(err)
	}
}

func TestTwoThousandGoroutinesShareARequestAndFewThreads(t *testing.T) {
	source := fromEnv(t, SendPayments, Settings{})
	// Held until this goroutine lets the request go.
	control(t, "POST", "/send-payments/hold")
	cancelled, cancel := context.WithCancel(background)
	var group sync.WaitGroup
	left := make(chan time.Time, 1000)
	for i := 0; i < 2000; i++ {
		group.Add(1)
		go func(leaves bool) {
			defer group.Done()
			if !leaves {
				if _, err := source.Authorization(background, Terms{}); err != nil {
					t.Error(err)
				}
			} else if _, err := source.Authorization(cancelled, Terms{}); !errors.Is(err, context.Canceled) {
				t.Error(err)
			} else {
				left <- time.Now()
			}
		}(i%2 == 0)
	}
	for {
		source.mutex.Lock()
		flights := len(source.flights)
		source.mutex.Unlock()
		if flights == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	cancel()
	var longest time.Duration
	for i := 0; i < 1000; i++ {
		if took := (<-left).Sub(began); took > longest {
			longest = took
		}
	}
	threads := field(t, "/proc/self/status", "Threads:")
	issued := stats(t, "send-payments").Issued
	control(t, "POST", "/send-payments/release")
	group.Wait()
	requests := stats(t, "send-payments").Requests
	t.Logf("2,000 goroutines on an empty cache: %d request, %d OS threads, cancelled within %v", requests, threads, longest)
	if requests != 1 || threads > 40 || issued != 0 {
		t.Fail()
	}
}

func TestARenewalMakesNobodyWait(t *testing.T) {
	source := fromEnv(t, NTXPay, Settings{})
	control(t, "POST", "/ntx-pay/lifetime?seconds=6")
	if _, err := source.Token(background, Terms{}); err != nil {
		t.Fatal(err)
	}
	control(t, "POST", "/ntx-pay/hold")
	status, err := source.Status()
	for err == nil && status.Requests < 2 {
		if _, err = source.Token(background, Terms{}); err == nil {
			status, err = source.Status()
		}
	}
	if err != nil || status.Tokens != 1 {
		t.Fatal(err, "a call waited for the new token")
	}
	control(t, "POST", "/ntx-pay/release")
}

func TestAWrongSecretIsToldAndRemembered(t *testing.T) {
	source := fromEnv(t, SendPayments, Settings{ClientID: "señor", ClientSecret: "contraseña"})
	before := 0
	for i := 0; i < 20000; i++ {
		_, err := source.Authorization(background, Terms{})
		var known *Error
		if !errors.As(err, &known) || known.Code != Rejected || known.HTTPStatus != 401 || known.RetryAfter < 10*time.Second || known.Retryable {
			t.Fatal(err)
		}
		if i == 10000 {
			before = field(t, "/proc/self/status", "VmRSS:")
		}
	}
	if known := stats(t, "send-payments").ByClient; len(known) != 1 || known["señor"] != 1 {
		t.Fatal(known)
	}
	if grown := field(t, "/proc/self/status", "VmRSS:") - before; grown > 1024 {
		t.Fatalf("%d KiB more: error objects are left behind", grown)
	}
}

func TestA401IsReplayedOnce(t *testing.T) {
	source := fromEnv(t, SendPayments, Settings{})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(read(t, "PAYTOKEN_CA"))
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	var sent []string
	status := 0
	send := func(ctx context.Context, authorization string) (int, error) {
		sent = append(sent, authorization)
		request, err := http.NewRequestWithContext(ctx, "GET", os.Getenv("SENDPAYMENTS_BASE_URL")+"/accounts", nil)
		if err != nil {
			return 0, err
		}
		request.Header.Set("Authorization", authorization)
		answer, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		status = answer.StatusCode
		return status, answer.Body.Close()
	}
	control(t, "POST", "/send-payments/fault?kind=status=401&times=1&endpoint=api")
	if err := source.Call(background, send); err != nil || status != 200 || len(sent) != 2 || sent[0] == sent[1] {
		t.Fatal(err, status, len(sent))
	}
	control(t, "POST", "/send-payments/fault?kind=status=401&times=2&endpoint=api")
	if err := source.Call(background, send); err != nil || status != 401 || len(sent) != 4 {
		t.Fatal(err, status, len(sent))
	}
	requests := stats(t, "send-payments").Requests
	if err := source.Invalidate("Bearer of-yesterday"); err != nil {
		t.Fatal(err)
	}
	if _, err := source.Token(background, Terms{}); err != nil || stats(t, "send-payments").Requests != requests {
		t.Fatal(err)
	}
	// What the program's own code failed with is handed on, and not replayed.
	own := errors.New("own")
	if err := source.Call(background, func(context.Context, string) (int, error) { return 401, own }); err != own {
		t.Fatal(err)
	}
}

func TestAStoreThatIsAwayIsTold(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "away")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	source := fromEnv(t, NTXPay, Settings{StoreDirectory: folder + "/store"})
	if status, err := source.Status(); err != nil || status.StoreErrorAge != -1 || !status.ExpiresAt.IsZero() {
		t.Fatal(status, err)
	}
	told := make(chan string, 10000)
	tell := func(level Level, message string) { told <- level.String() + " " + message }
	if err := LogTo(LevelWarn, tell); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	token, err := source.Token(background, Terms{})
	if err != nil {
		t.Fatal(err)
	}
	if record := <-told; !strings.HasPrefix(record, "WARN ") || !strings.Contains(record, "store") || strings.Contains(record, token) {
		t.Fatal(record)
	}
	status, err := source.Status()
	if err != nil || status.StoreErrorAge < 0 || status.Provider != NTXPay || status.Environment != Sandbox ||
		status.Age < 0 || status.Age >= status.Remaining || status.BlockedFor != -1 || status.LastErrorAge != -1 ||
		!status.ExpiresAt.After(time.Now()) || !status.CertificateNotAfter.After(time.Now()) {
		t.Fatal(status, err)
	}
	// What is left is handed on before nil ends it; from then on there is nothing.
	if err := LogTo(LevelDebug, tell); err != nil {
		t.Fatal(err)
	}
	for _, ended := range []bool{false, true} {
		if _, err := source.Token(background, Terms{Force: true}); err != nil {
			t.Fatal(err)
		}
		if err := LogTo(LevelDebug, nil); err != nil || (len(told) == 0) != ended {
			t.Fatal(len(told), err)
		}
		for len(told) > 0 {
			if record := <-told; strings.Contains(record, "eyJ") {
				t.Fatal("a token in a record")
			}
		}
	}
	if err := LogTo(3, tell); code(err) != InvalidArgument {
		t.Fatal(err)
	}
}

func TestWhatCannotBePassedOnIsAnError(t *testing.T) {
	for name, settings := range map[string]Settings{
		"ClientSecret": {ClientSecret: "a\x00b"}, "StoreDirectory": {StoreDirectory: "a\x00b"}, "BaseURL": {BaseURL: "\xff"},
		"Timeout": {Timeout: -1}, "ConnectTimeout": {ConnectTimeout: time.Microsecond},
	} {
		if _, err := FromEnv(SendPayments, settings); code(err) != InvalidArgument || !strings.Contains(strings.ReplaceAll(strings.ToLower(err.Error()), "_", ""), strings.ToLower(name)) {
			t.Error(name, err)
		}
	}
	if _, err := New(SendPayments, 9, Settings{ClientID: "a"}); code(err) != InvalidArgument || !strings.Contains(err.Error(), "environment") {
		t.Error("an unknown environment:", err)
	}
	if _, err := FromEnv(9, Settings{}); code(err) != InvalidArgument {
		t.Error(err)
	}
	if _, err := New(9, Sandbox, Settings{}); err == nil {
		t.Error("an unknown provider")
	}
	source := fromEnv(t, SendPayments, Settings{})
	if err := source.Invalidate("a\x00b"); code(err) != InvalidArgument {
		t.Error(err)
	}
	if _, err := source.Token(background, Terms{MinValidity: -1}); code(err) != InvalidArgument {
		t.Error(err)
	}
	if _, err := source.Token(background, Terms{MinValidity: math.MaxInt64}); code(err) != Configuration || !strings.Contains(err.Error(), "9223372036.8") {
		t.Error(err)
	}
	if _, err := new(Source).Token(background, Terms{Force: true}); err != ErrClosed {
		t.Error("a source that was never made:", err)
	}
	// Closed while a flight is under way: that one lands, later calls are errors.
	control(t, "POST", "/send-payments/hold")
	flight := source.flight(Terms{})
	for users := 0; users == 0; time.Sleep(time.Millisecond) {
		source.mutex.Lock()
		users = source.users
		source.mutex.Unlock()
	}
	source.Close()
	source.Close()
	source.mutex.Lock()
	if source.users != 1 || source.freed == nil {
		t.Error("freed while it is in use")
	}
	source.mutex.Unlock()
	control(t, "POST", "/send-payments/release")
	if <-flight.landed; flight.err != nil || source.freed != nil {
		t.Error(flight.err)
	}
	_, first := source.Token(background, Terms{})
	_, second := source.Token(background, Terms{Force: true})
	_, third := source.Status()
	for _, err := range []error{first, second, third, source.Invalidate("x")} {
		if err != ErrClosed {
			t.Error(err)
		}
	}
}

func BenchmarkCached(b *testing.B) {
	source := fromEnv(b, SendPayments, Settings{})
	for i := 0; i < b.N; i++ {
		if _, err := source.Authorization(background, Terms{}); err != nil {
			b.Fatal(err)
		}
	}
}
