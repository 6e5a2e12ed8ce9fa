package registry

import "time"

// Next is when a freeze that does not hold at a moment begins after it; the zero time when it never does, and a time that
// is not after now when it holds.
func (f Freeze) Next(now time.Time) time.Time {
	if _, holds := f.Active(now); holds {
		return now
	}
	if f.Schedule == "" {
		if f.From.After(now) {
			return f.From.Time
		}
		return time.Time{}
	}
	schedule, zone, err := f.times()
	if err != nil {
		return time.Time{} // told where it was read
	}
	return schedule.Next(now.In(zone))
}
