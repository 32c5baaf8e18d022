package devissuer

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"time"
)

// store keeps values under names that are secrets: tokens, codes, cookies. It
// knows their digests only, so that neither a dump nor the time a look-up
// takes tells one. It is bounded in number and time: a value goes when its
// lifetime is over, or when it is the oldest and there is no room. The lock is
// the owner's.
type store[V any] struct {
	limit    int
	lifetime time.Duration
	byName   map[[sha256.Size]byte]*list.Element
	order    *list.List // of *stored[V], the first to expire in front
}

type stored[V any] struct {
	digest  [sha256.Size]byte
	expires time.Time
	value   V
}

func newStore[V any](limit int, lifetime time.Duration) *store[V] {
	return &store[V]{
		limit: limit, lifetime: lifetime,
		byName: map[[sha256.Size]byte]*list.Element{}, order: list.New(),
	}
}

// add keeps value under a new name of 130 random bits and returns the name.
func (s *store[V]) add(now time.Time, value V) (name string) {
	name = rand.Text()
	s.put(now, name, value)
	return name
}

// put keeps value under name, in place of what was there.
func (s *store[V]) put(now time.Time, name string, value V) {
	s.remove(name)
	for first := s.order.Front(); first != nil; first = s.order.Front() {
		if s.order.Len() < s.limit && now.Before(first.Value.(*stored[V]).expires) {
			break
		}
		s.drop(first)
	}
	entry := &stored[V]{digest: sha256.Sum256([]byte(name)), expires: now.Add(s.lifetime), value: value}
	s.byName[entry.digest] = s.order.PushBack(entry)
}

// get returns the value under name, unless its lifetime is over.
func (s *store[V]) get(now time.Time, name string) (value V, ok bool) {
	element, ok := s.byName[sha256.Sum256([]byte(name))]
	if !ok {
		return value, false
	}
	entry := element.Value.(*stored[V])
	if !now.Before(entry.expires) {
		s.drop(element)
		return value, false
	}
	return entry.value, true
}

// remove forgets the value under name, if there is one.
func (s *store[V]) remove(name string) {
	if element, ok := s.byName[sha256.Sum256([]byte(name))]; ok {
		s.drop(element)
	}
}

// len returns how many values are kept at now.
func (s *store[V]) len(now time.Time) int {
	for first := s.order.Front(); first != nil; first = s.order.Front() {
		if now.Before(first.Value.(*stored[V]).expires) {
			break
		}
		s.drop(first)
	}
	return s.order.Len()
}

func (s *store[V]) drop(element *list.Element) {
	delete(s.byName, element.Value.(*stored[V]).digest)
	s.order.Remove(element)
}
