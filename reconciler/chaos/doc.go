// Package chaos is what happens to davit in the world, for tests: a Proxy stands between it and a real server, and does to
// requests what a Fault says; and processes that are killed, stopped and run beside one another. It knows nothing of
// davit's other packages: its tests do, and run the real reconciler between real servers.
package chaos
