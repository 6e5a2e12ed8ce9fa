package plan

import (
	"reflect"
	"strings"

	"github.com/davit-dev/davit/registry"
)

// scheduled tells what a schedule and its lock make of a change of the training; was is nil for a new one.
func (t *Training) scheduled(was, is *registry.Training) {
	if is.Waits() {
		t.Schedule = strings.TrimSpace(is.Spec.Schedule.Cron + " " + is.Spec.Schedule.Timezone)
		return
	}
	t.Relocked = was != nil && is.Locked() && reflect.DeepEqual(was.Spec, is.Spec) && !reflect.DeepEqual(was.Lock, is.Lock)
}
