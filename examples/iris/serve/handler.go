package main

import (
	"encoding/json"
	"net/http"
)

// newHandler serves m under cfg's model name. A model is loaded before there
// is a handler, so live and ready are the same here.
func newHandler(cfg config, m *model) http.Handler {
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, struct{}{}) }
	mux.HandleFunc("GET /v2/health/live", ok)
	mux.HandleFunc("GET /v2/health/ready", ok)
	mux.HandleFunc("GET /v2", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"name": serverName, "version": serverVersion, "extensions": []string{}})
	})
	known := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if name := r.PathValue("name"); name != cfg.modelName {
				fail(w, http.StatusNotFound, "no model named "+name)
				return
			}
			next(w, r)
		}
	}
	mux.HandleFunc("GET /v2/models/{name}/ready", known(ok))
	mux.HandleFunc("GET /v2/models/{name}", known(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, m.metadata(cfg))
	}))
	mux.HandleFunc("POST /v2/models/{name}/infer", known(func(w http.ResponseWriter, r *http.Request) {
		serveInfer(w, r, cfg, m)
	}))
	return mux
}

func serveInfer(w http.ResponseWriter, r *http.Request, cfg config, m *model) {
	var req inferRequest
	body := http.MaxBytesReader(w, r.Body, maxRequestBody)
	if err := json.NewDecoder(body).Decode(&req); err != nil {
		fail(w, http.StatusBadRequest, "parsing request: "+err.Error())
		return
	}
	outputs, err := m.infer(req)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	reply(w, http.StatusOK, inferResponse{
		ModelName:    cfg.modelName,
		ModelVersion: cfg.modelVersion,
		ID:           req.ID,
		Outputs:      outputs,
	})
}

func fail(w http.ResponseWriter, status int, message string) {
	reply(w, status, map[string]string{"error": message})
}

// reply's error would be of a client that went away: there is nobody to tell.
func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
