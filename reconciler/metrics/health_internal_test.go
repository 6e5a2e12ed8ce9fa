package metrics

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestAlive wants a loop that is silent for too long told, and one with a long interval given its time.
func TestAlive(t *testing.T) {
	m := New("v0")
	r := m.Registry("models")
	r.looked = time.Now().Add(-stillLooking - time.Minute)
	if err := m.Alive(); err == nil || !strings.Contains(err.Error(), "registry models") {
		t.Errorf("a loop that hangs: %v", err)
	}
	r.Every(time.Hour)
	if err := m.Alive(); err != nil {
		t.Errorf("one that looks once an hour: %v", err)
	}
	r.Every(0)
	r.Followed(time.Time{}, errors.New("no such secret"))
	if err := m.Alive(); err != nil {
		t.Errorf("one that is tried again and again: %v", err)
	}
	r.looked = time.Now().Add(-stillLooking - time.Minute)
	r.Looked(time.Second, nil)
	if err := m.Alive(); err != nil {
		t.Errorf("one that looked: %v", err)
	}
}
