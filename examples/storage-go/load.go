package main

import "sync"

// load counts files in progress: the overload bit, and when a file has to wait.
type load struct {
	mu            sync.Mutex
	overloadFiles int
	busyFiles     int
	files         int
	isOver        bool
}

// begin counts a file in; false when the server is too busy for it.
func (l *load) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.files >= l.busyFiles {
		return false
	}
	l.files++
	if l.files >= l.overloadFiles {
		l.isOver = true
	}
	return true
}

func (l *load) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files--
	// Cleared later than it was set, so that the bit does not flap.
	if l.files <= l.overloadFiles/2 {
		l.isOver = false
	}
}

func (l *load) overloaded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.isOver
}

func (l *load) inProgress() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.files
}
