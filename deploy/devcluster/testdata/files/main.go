// Command files serves the folder named by its argument, as a model server would serve what is mounted there, and
// fetches an address for who asks, as a trainer in the pod would.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	http.Handle("/", http.FileServer(http.Dir(os.Args[1])))
	http.HandleFunc("/fetch", func(w http.ResponseWriter, r *http.Request) {
		response, err := http.Get(r.URL.Query().Get("url"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		w.WriteHeader(response.StatusCode)
		_, _ = io.Copy(w, response.Body)
	})
	log.Fatal(http.ListenAndServe(":8080", nil))
}
