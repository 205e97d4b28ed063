package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "bilancia.example/storage-go/gen/bilancia/v1"
)

// Attempts of files that are not stored are remembered in memory, about so many of them.
const seenLimit = 65_536

var (
	filesBucket = []byte("files") // identity -> record
	namesBucket = []byte("names") // stored name -> identity
)

// fence says which try of a file something belongs to.
type fence struct {
	Term    uint64
	Attempt uint32
}

func (f fence) less(other fence) bool {
	return f.Term < other.Term || f.Term == other.Term && f.Attempt < other.Attempt
}

// record is what the index knows of a file.
type record struct {
	UploadID   string
	StoredName string
	SizeBytes  uint64
	SHA256     []byte
	StoredAt   time.Time
	Stats      *pb.TextStats
	StoredBy   fence
	Fence      fence // the highest attempt that was answered
	Discarded  bool
}

// draft is a file that has arrived in a temp file and has been checked.
type draft struct {
	header    *pb.SaveHeader
	file      *os.File
	sizeBytes uint64
	sha256    []byte
	stats     *pb.TextStats
}

// store keeps files in a folder, with an index beside them (bbolt) that remembers whose they are.
//
// The order of the steps is what makes `saved` true after a crash: the bytes are flushed first, then the index entry, then
// the file gets its final name by link(2), which never overwrites, then the folder is flushed. An index entry without its
// file counts for nothing, so a crash between any two steps leaves a file whole or not there.
type store struct {
	dir  string
	temp string
	db   *bbolt.DB
	mu   sync.Mutex // makes a decision and what follows from it one step
	seen map[string]fence
}

func openStore(dir string) (*store, error) {
	s := &store{dir: dir, temp: filepath.Join(dir, ".temp"), seen: map[string]fence{}}
	if err := os.RemoveAll(s.temp); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.temp, 0o755); err != nil {
		return nil, err
	}
	var err error
	// Locked by bbolt: a second process on the same folder fails here.
	if s.db, err = bbolt.Open(filepath.Join(dir, ".index.bbolt"), 0o644, &bbolt.Options{Timeout: time.Second}); err != nil {
		return nil, fmt.Errorf("the index of %s: %w", dir, err)
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(filesBucket)
		_, err2 := tx.CreateBucketIfNotExists(namesBucket)
		return errors.Join(err, err2)
	})
	if err != nil {
		return nil, err
	}
	flushFolder(dir)
	return s, s.finishDiscards()
}

func (s *store) createTemp() (*os.File, error) { return os.CreateTemp(s.temp, "") }

// begin notes an attempt, and says why it must not be: the number is another upload's, or a later attempt has been seen.
func (s *store) begin(h *pb.SaveHeader) (*refusal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, err := s.find(h.Origin, h.RequestNumber)
	if err != nil {
		return nil, err
	}
	return s.admit(h, known), nil
}

// outcome is the answer to one file: one of the two is set.
type outcome struct {
	saved   *pb.SaveSaved
	refusal *refusal
}

// saveAll stores files, and returns once all of them survive a crash. One flush of index and folder serves them all.
func (s *store) saveAll(drafts []*draft) ([]outcome, error) {
	var flushes sync.WaitGroup
	for _, d := range drafts {
		flushes.Add(1)
		go func() {
			defer flushes.Done()
			flush(d.file)
		}()
	}
	flushes.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var outcomes []outcome
	err := s.db.Update(func(tx *bbolt.Tx) error {
		taken := map[string]bool{}
		for _, d := range drafts {
			saved, refused, err := s.decide(tx, d, taken)
			if err != nil {
				return err
			}
			outcomes = append(outcomes, outcome{saved, refused})
		}
		return nil
	})
	if errors.Is(err, syscall.ENOSPC) {
		full := refuse(pb.RefuseReason_REFUSE_REASON_NO_SPACE, "the disk is full")
		refused := make([]outcome, len(drafts))
		for i := range refused {
			refused[i].refusal = full
		}
		return refused, nil
	}
	if err != nil {
		return nil, err
	}
	for i, o := range outcomes {
		if o.saved == nil || o.saved.Duplicate {
			continue
		}
		if err := os.Link(drafts[i].file.Name(), filepath.Join(s.dir, o.saved.StoredName)); err != nil {
			return nil, err
		}
	}
	flushFolder(s.dir)
	return outcomes, nil
}

func (s *store) stat(origin string, number uint64) (*pb.StoredFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, err := s.find(origin, number)
	if err != nil || !s.holds(known) {
		return nil, err
	}
	return &pb.StoredFile{
		UploadId:   known.UploadID,
		StoredName: known.StoredName,
		SizeBytes:  known.SizeBytes,
		Sha256:     known.SHA256,
		Term:       known.StoredBy.Term,
		Attempt:    known.StoredBy.Attempt,
		StoredAt:   timestamppb.New(known.StoredAt),
		TextStats:  known.Stats,
	}, nil
}

var errNotYours = errors.New("the file belongs to another upload or to a later attempt")

// discard removes a file, durably. errNotYours when it belongs to another upload or a later attempt.
func (s *store) discard(r *pb.DiscardRequest) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, err := s.find(r.Origin, r.RequestNumber)
	if err != nil {
		return false, err
	}
	upload, named := strings.ToLower(r.UploadId), fence{r.Term, r.Attempt}
	if known == nil {
		known = &record{UploadID: upload}
	}
	if known.UploadID != upload {
		return false, errNotYours
	}
	if named.less(known.Fence) {
		if known.Discarded {
			return false, nil
		}
		return false, errNotYours
	}
	held := s.holds(known)
	known.Discarded, known.Fence = true, named
	err = s.db.Update(func(tx *bbolt.Tx) error { return put(tx, identity(r.Origin, r.RequestNumber), known) })
	if err != nil {
		return false, err
	}
	if known.StoredName == "" {
		return false, nil
	}
	return held, s.remove(identity(r.Origin, r.RequestNumber), known)
}

// admit checks an attempt against what is known of the file, and notes it.
func (s *store) admit(h *pb.SaveHeader, known *record) *refusal {
	key, came := string(identity(h.Origin, h.RequestNumber)), fence{h.Term, h.Attempt}
	if s.holds(known) && known.UploadID != strings.ToLower(h.UploadId) {
		return refuse(pb.RefuseReason_REFUSE_REASON_NUMBER_TAKEN, "the request number belongs to another upload")
	}
	seen := s.seen[key]
	if known != nil && seen.less(known.Fence) {
		seen = known.Fence
	}
	isDiscarded := known != nil && known.Discarded && !known.Fence.less(came)
	if came.less(seen) || isDiscarded {
		return refuse(pb.RefuseReason_REFUSE_REASON_STALE_ATTEMPT, "(term, attempt) %v has been seen; %v came", seen, came)
	}
	if len(s.seen) >= seenLimit {
		for other := range s.seen {
			delete(s.seen, other)
			break
		}
	}
	s.seen[key] = came
	return nil
}

// decide enters a file into the index, or finds it there. taken: names that files of the same batch get.
func (s *store) decide(tx *bbolt.Tx, d *draft, taken map[string]bool) (*pb.SaveSaved, *refusal, error) {
	h := d.header
	key, came := identity(h.Origin, h.RequestNumber), fence{h.Term, h.Attempt}
	known, err := get(tx, key)
	if err != nil {
		return nil, nil, err
	}
	if refused := s.admit(h, known); refused != nil {
		return nil, refused, nil
	}
	isDuplicate := known != nil && (taken[known.StoredName] || s.holds(known))
	if isDuplicate {
		if !bytes.Equal(known.SHA256, d.sha256) {
			return nil, refuse(pb.RefuseReason_REFUSE_REASON_DIGEST_MISMATCH, "other bytes are stored for this upload"), nil
		}
		known.Fence = came
	} else {
		name, refused := s.freeName(tx, h, key)
		if refused != nil {
			return nil, refused, nil
		}
		taken[name] = true
		known = &record{
			UploadID: strings.ToLower(h.UploadId), StoredName: name, SizeBytes: d.sizeBytes, SHA256: d.sha256,
			StoredAt: time.Now(), Stats: d.stats, StoredBy: came, Fence: came,
		}
		if err := tx.Bucket(namesBucket).Put([]byte(name), key); err != nil {
			return nil, nil, err
		}
	}
	if err := put(tx, key, known); err != nil {
		return nil, nil, err
	}
	delete(s.seen, string(key))
	return &pb.SaveSaved{
		StoredName: known.StoredName, SizeBytes: known.SizeBytes, Sha256: known.SHA256,
		Duplicate: isDuplicate, TextStats: known.Stats,
	}, nil, nil
}

func (s *store) freeName(tx *bbolt.Tx, h *pb.SaveHeader, key []byte) (string, *refusal) {
	plain := fmt.Sprintf("%d_%s", h.RequestNumber, h.Name)
	extension := filepath.Ext(plain)
	for _, name := range []string{plain, strings.TrimSuffix(plain, extension) + "~" + h.Origin[:8] + extension} {
		owner := tx.Bucket(namesBucket).Get([]byte(name))
		_, err := os.Lstat(filepath.Join(s.dir, name))
		if (owner == nil || bytes.Equal(owner, key)) && errors.Is(err, os.ErrNotExist) {
			return name, nil
		}
	}
	return "", refuse(pb.RefuseReason_REFUSE_REASON_INTERNAL, "both names for this file are taken")
}

// holds tells whether a file is there, and not only its index entry.
func (s *store) holds(known *record) bool {
	if known == nil || known.Discarded {
		return false
	}
	info, err := os.Lstat(filepath.Join(s.dir, known.StoredName))
	return err == nil && uint64(info.Size()) == known.SizeBytes
}

// finishDiscards removes the files of discarded entries that a crash left.
func (s *store) finishDiscards() error {
	left := map[string]*record{}
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(filesBucket).ForEach(func(key, value []byte) error {
			known := &record{}
			if err := json.Unmarshal(value, known); err != nil {
				return err
			}
			if known.Discarded && known.StoredName != "" {
				left[string(key)] = known
			}
			return nil
		})
	})
	for key, known := range left {
		err = errors.Join(err, s.remove([]byte(key), known))
	}
	return err
}

// remove removes the file of a discarded entry; only then its name is free again.
func (s *store) remove(key []byte, known *record) error {
	name := known.StoredName
	if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	flushFolder(s.dir)
	known.StoredName = ""
	return s.db.Update(func(tx *bbolt.Tx) error {
		return errors.Join(put(tx, key, known), tx.Bucket(namesBucket).Delete([]byte(name)))
	})
}

func (s *store) find(origin string, number uint64) (known *record, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		known, err = get(tx, identity(origin, number))
		return err
	})
	return known, err
}

func identity(origin string, number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(origin), number)
}

func get(tx *bbolt.Tx, key []byte) (*record, error) {
	value := tx.Bucket(filesBucket).Get(key)
	if value == nil {
		return nil, nil
	}
	known := &record{}
	return known, json.Unmarshal(value, known)
}

func put(tx *bbolt.Tx, key []byte, known *record) error {
	value, err := json.Marshal(known)
	if err != nil {
		return err
	}
	return tx.Bucket(filesBucket).Put(key, value)
}

// flush makes a file survive a loss of power. After a failed flush nobody knows what is on the disk: only a new process may go on.
func flush(file *os.File) {
	if err := file.Sync(); err != nil {
		log.Fatalf("flush failed: %v", err)
	}
}

func flushFolder(dir string) {
	folder, err := os.Open(dir)
	if err != nil {
		log.Fatalf("flush failed: %v", err)
	}
	defer folder.Close()
	flush(folder)
}
