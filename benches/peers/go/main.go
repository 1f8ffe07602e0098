// Peer: golang.org/x/oauth2.
//
//	peer token                            one token on stdout
//	peer cached THREADS CALLS             nanoseconds that all calls took, and their number
//	peer herd renewal|ended|empty THREADS whether each got a token and its wait in ns
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// fetch gets a new token each time.
type fetch struct {
	context context.Context
	config  *clientcredentials.Config
}

func (f fetch) Token() (*oauth2.Token, error) {
	return f.config.Token(f.context)
}

func main() {
	log.SetFlags(0)
	source := setUp()
	switch os.Args[1] {
	case "token":
		fmt.Println(first(source).AccessToken)
	case "cached":
		cached(source, number(os.Args[2]), number(os.Args[3]))
	case "herd":
		herd(source, os.Args[2], number(os.Args[3]))
	default:
		log.Fatal("token, cached or herd")
	}
}

func setUp() fetch {
	ca, err := os.ReadFile(os.Getenv("PAYTOKEN_CA"))
	check(err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		log.Fatal("no certificate in PAYTOKEN_CA")
	}
	certificate, err := tls.LoadX509KeyPair(
		os.Getenv("NTXPAY_CLIENT_CERT"), os.Getenv("NTXPAY_CLIENT_KEY"))
	check(err)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs:      roots,
		Certificates: []tls.Certificate{certificate},
	}}}
	return fetch{
		context: context.WithValue(context.Background(), oauth2.HTTPClient, client),
		config: &clientcredentials.Config{
			ClientID:     os.Getenv("NTXPAY_CLIENT_ID"),
			ClientSecret: os.Getenv("NTXPAY_CLIENT_SECRET"),
			TokenURL:     os.Getenv("NTXPAY_BASE_URL") + "/api/auth/token",
			// Left to itself it asks twice when the first answer is an error.
			AuthStyle: oauth2.AuthStyleInHeader,
		},
	}
}

func cached(source fetch, threads, calls int) {
	tokens := oauth2.ReuseTokenSource(first(source), source)
	each := (calls + threads - 1) / threads
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(threads)
	done.Add(threads)
	for i := 0; i < threads; i++ {
		go func() {
			defer done.Done()
			ready.Done()
			<-start
			for i := 0; i < each; i++ {
				token, err := tokens.Token()
				if err != nil || token == nil {
					log.Fatal("no token")
				}
			}
		}()
	}
	ready.Wait()
	begin := time.Now()
	close(start)
	done.Wait()
	fmt.Println(time.Since(begin).Nanoseconds(), each*threads)
}

func herd(source fetch, situation string, threads int) {
	var token *oauth2.Token
	switch situation {
	case "renewal": // it wants a new one from 10 s before the end
		token = first(source)
		token.Expiry = time.Now().Add(5 * time.Second)
	case "ended":
		token = first(source)
		token.Expiry = time.Now().Add(-time.Second)
	}
	tokens := oauth2.ReuseTokenSource(token, source)
	fmt.Println("ready")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	check(err)
	var failed int32
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	waits := make([]time.Duration, threads)
	ready.Add(threads)
	done.Add(threads)
	for i := 0; i < threads; i++ {
		go func(i int) {
			defer done.Done()
			ready.Done()
			<-start
			begin := time.Now()
			if _, err := tokens.Token(); err != nil {
				atomic.AddInt32(&failed, 1)
			}
			waits[i] = time.Since(begin)
		}(i)
	}
	ready.Wait()
	close(start)
	done.Wait()
	fmt.Println(failed)
	for _, wait := range waits {
		fmt.Println(wait.Nanoseconds())
	}
}

func first(source fetch) *oauth2.Token {
	token, err := source.Token()
	check(err)
	return token
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
