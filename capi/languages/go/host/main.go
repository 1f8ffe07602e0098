// A server whose handlers ask for a token, and whose clients leave early: run by capi/languages/run.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"paytoken.example/paytoken"
)

func main() {
	source, err := paytoken.FromEnv(paytoken.SendPayments, paytoken.Settings{})
	sure(err)
	other, err := paytoken.FromEnv(paytoken.NTXPay, paytoken.Settings{})
	sure(err)
	if len(os.Args) > 1 {
		_, err := source.Token(context.Background(), paytoken.Terms{})
		sure(err)
		fmt.Println("found")
		return
	}
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()

	arrived, left := make(chan struct{}, 1000), make(chan struct{}, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		from := source
		if request.URL.Path == "/other" {
			from = other
		}
		arrived <- struct{}{}
		if _, err := from.Token(request.Context(), paytoken.Terms{}); errors.Is(err, context.Canceled) {
			left <- struct{}{}
		} else if err != nil {
			http.Error(answer, err.Error(), http.StatusBadGateway)
		}
	}))
	control("/send-payments/hold")
	before := figures()
	leaving, leave := context.WithCancel(context.Background())
	var group sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{}}
	for i := 0; i < 500; i++ {
		ctx := context.Background()
		if i%5 > 0 {
			ctx = leaving
		}
		group.Add(1)
		go func() {
			defer group.Done()
			status, err := get(ctx, client, server.URL)
			if ctx == leaving && !errors.Is(err, context.Canceled) || ctx != leaving && (err != nil || status != 200) {
				log.Fatal(status, err)
			}
		}()
	}
	for i := 0; i < 500; i++ {
		<-arrived
	}
	began := time.Now()
	leave()
	for i := 0; i < 400; i++ {
		<-left
	}
	took := time.Since(began)
	during := figures()
	control("/send-payments/release")
	group.Wait()
	client.CloseIdleConnections()
	for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > 12 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	fmt.Printf("served 500 requests, 400 left within %v; goroutines/threads/descriptors: %s before, %s with 100 waiting, %s after\n",
		took.Round(time.Millisecond), before, during, figures())

	go get(context.Background(), client, server.URL+"/other") // held by the sandbox
	<-stopped.Done()
	// Who waits is let go, as a server does whose time to shut down is over.
	deadline, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if err := server.Config.Shutdown(deadline); !errors.Is(err, context.DeadlineExceeded) {
		log.Fatal(err)
	}
	server.CloseClientConnections()
	<-left
	source.Close()
	other.Close()
}

func get(ctx context.Context, client *http.Client, url string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	sure(err)
	answer, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

func control(path string) {
	answer, err := http.Post(os.Getenv("PAYTOKEN_SANDBOX_CONTROL")+path, "", nil)
	sure(err)
	sure(answer.Body.Close())
}

func figures() string {
	tasks, err := os.ReadDir("/proc/self/task")
	sure(err)
	descriptors, err := os.ReadDir("/proc/self/fd")
	sure(err)
	return fmt.Sprintf("%d/%d/%d", runtime.NumGoroutine(), len(tasks), len(descriptors))
}

func sure(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
