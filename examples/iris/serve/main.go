// Command serve answers the Open Inference Protocol v2 for a model that the
// train command beside it made.
//
// It reads model.safetensors from $DAVIT_MODEL_PATH, where davit mounts the
// model image, and exits with 1 and one line on stderr if the file is
// damaged, so that a bad version shows at once as a crash with its cause. It
// knows nothing of davit but that variable.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// shutdownTimeout ends before the pod's terminationGracePeriodSeconds of 10.
const shutdownTimeout = 8 * time.Second

// config of the server.
type config struct {
	modelPath    string // folder of model.safetensors
	modelName    string
	modelVersion string // optional
	port         int    // 0 takes any free port
}

func main() {
	var cfg config
	flag.StringVar(&cfg.modelPath, "model-path", os.Getenv("DAVIT_MODEL_PATH"), "folder of model.safetensors (default $DAVIT_MODEL_PATH)")
	flag.StringVar(&cfg.modelName, "model-name", "iris", "name of the model in URLs")
	flag.StringVar(&cfg.modelVersion, "model-version", "", "version to report with answers")
	flag.IntVar(&cfg.port, "port", 8080, "TCP port to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until ctx ends, then lets requests in progress finish.
func run(ctx context.Context, cfg config) error {
	if cfg.modelPath == "" {
		return errors.New("no model: set DAVIT_MODEL_PATH or --model-path")
	}
	m, err := loadModel(cfg.modelPath)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(cfg.port)))
	if err != nil {
		return fmt.Errorf("opening port: %w", err)
	}
	server := &http.Server{
		Handler:           newHandler(cfg, m),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
	}
	slog.Info("serving", "model", cfg.modelName, "version", cfg.modelVersion, "address", listener.Addr().String())
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	// ctx has ended, and the requests in progress still need time.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return fmt.Errorf("shutting down: %w", err)
	}
	<-done
	return nil
}
