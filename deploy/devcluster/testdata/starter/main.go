// Command starter starts a cluster, prints its processes and its folder, and waits to be killed.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"

	"github.com/davit-dev/davit/deploy/devcluster"
)

func main() {
	real, _ := strconv.ParseBool(os.Getenv("REAL_NODE"))
	alone, _ := strconv.ParseBool(os.Getenv("REGISTRY_ONLY"))
	c, err := devcluster.Start(context.Background(), devcluster.Config{RealNode: real, NoControlPlane: alone, Registry: true, Log: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(c)
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	<-interrupted
}
