// Command vllm stands in for vLLM where there is no GPU: it takes the same arguments and answers at the same paths,
// but loads no weights and knows one answer. What it answers, and how well it behaves, is in the model's config.json:
//
//	{"architectures": ["StandIn"], "greeting": "hello", "requests_before_crash": 0}
//
// It reads the model's folder as vLLM does and exits with 1 when config.json or model.safetensors is missing.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// config is the part of a model's config.json that the stand-in reads.
type config struct {
	Greeting string `json:"greeting"`
	// RequestsBeforeCrash is how many requests it answers before it ends with an error; 0: any number.
	RequestsBeforeCrash int64 `json:"requests_before_crash"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "vllm stand-in:", err)
		os.Exit(1)
	}
}

// run is `vllm serve MODEL [--key=value…]`. Arguments it has no use for are vLLM's own.
func run(ctx context.Context, args []string) error {
	if len(args) < 2 || args[0] != "serve" {
		return errors.New("usage: vllm serve MODEL [--key=value…]")
	}
	dir, name, port := args[1], filepath.Base(args[1]), "8000"
	for _, arg := range args[2:] {
		key, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		switch key {
		case "served-model-name":
			name = value
		case "port":
			port = value
		}
	}
	cfg, err := load(dir)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("", port))
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	server := &http.Server{Handler: routes(name, cfg, ended), ReadHeaderTimeout: 5 * time.Second}
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 8*time.Second)
		defer cancel()
		return server.Shutdown(ctx)
	}
}

func load(dir string) (cfg config, err error) {
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return cfg, err
	}
	if _, err := os.Stat(filepath.Join(dir, "model.safetensors")); err != nil {
		return cfg, err
	}
	return cfg, json.Unmarshal(data, &cfg)
}

// routes are the paths of vLLM's server that probes, smoke tests and people use.
func routes(name string, cfg config, ended chan<- error) http.Handler {
	var served atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"object": "list", "data": []any{map[string]any{"id": name, "object": "model"}}})
	})
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, _ *http.Request) {
		if n := served.Add(1); cfg.RequestsBeforeCrash > 0 && n > cfg.RequestsBeforeCrash {
			ended <- errors.New("out of memory: the KV cache leaks")
			http.Error(w, "out of memory", http.StatusInternalServerError)
			return
		}
		message := map[string]any{"role": "assistant", "content": cfg.Greeting}
		answer(w, map[string]any{"object": "chat.completion", "model": name, "choices": []any{map[string]any{"index": 0, "message": message}}})
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE vllm:request_success_total counter\nvllm:request_success_total %d\n", served.Load())
	})
	return mux
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client is gone
}
