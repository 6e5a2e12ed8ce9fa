package registry

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// crontab reads the five fields of crontab(5) and the zone that they are meant in, UTC where that is empty. Shorthands and
// a zone within the fields are refused: one time has one spelling.
func crontab(fields, timezone string) (cron.Schedule, *time.Location, error) {
	zone, err := time.LoadLocation(timezone)
	if err != nil {
		return nil, nil, fmt.Errorf("timezone %q is not known; write a name such as Europe/Berlin", timezone)
	}
	if strings.HasPrefix(fields, "@") || strings.Contains(fields, "TZ=") {
		return nil, nil, fmt.Errorf(`schedule %q is not five fields as in crontab; write such as "0 18 24 12 *"`, fields)
	}
	schedule, err := cron.ParseStandard(fields)
	if err != nil {
		return nil, nil, fmt.Errorf(`schedule %q is not five fields as in crontab, such as "0 18 24 12 *": %v`, fields, err)
	}
	return schedule, zone, nil
}
