package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"filippo.io/age"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/store"
)

// namedBackups is how many backups a message names.
const namedBackups = 5

// stored is a complete backup of a pair of some UID.
type stored struct{ uid, id string }

// choose finds the backup that is asked for. It also returns all backups of that pair, the
// oldest first.
func (v vault) choose(ctx context.Context, objects backup.Objects) (stored, []stored, error) {
	all, err := listed(ctx, objects)
	if err != nil {
		return stored{}, nil, err
	}
	if len(all) == 0 {
		return stored{}, nil, v.nothingThere()
	}
	if uid := v.request.UID; uid != "" {
		others := uidsOf(all)
		all = slices.DeleteFunc(all, func(s stored) bool { return s.uid != uid })
		if len(all) == 0 && v.request.Reseed != nil {
			return stored{}, nil, v.nothingThere()
		}
		if len(all) == 0 {
			return stored{}, nil, &unservable{
				reason: jobapi.BackupNotFound,
				text: fmt.Sprintf("%s.pair.uid: there is no backup of a pair %s with the UID %s; there are backups of the UIDs %s",
					restoreField, v.request.Pair, uid, strings.Join(others, ", ")),
			}
		}
	}
	if id := v.request.BackupID; id != v1alpha1.LatestBackup {
		at := slices.IndexFunc(all, func(s stored) bool { return s.id == id })
		if at < 0 {
			return stored{}, nil, &unservable{
				reason: jobapi.BackupNotFound,
				text: fmt.Sprintf("%s.backupID: there is no complete backup %s of pair %s; the newest are %s",
					restoreField, id, v.request.Pair, newest(all)),
			}
		}
		return all[at], of(all, all[at].uid), nil
	}
	if uids := uidsOf(all); len(uids) > 1 {
		return stored{}, nil, v.ambiguous(all, uids)
	}
	return all[len(all)-1], all, nil
}

func (v vault) ambiguous(all []stored, uids []string) error {
	var each []string
	for _, uid := range uids {
		theirs := of(all, uid)
		each = append(each, fmt.Sprintf("%s (newest: %s)", uid, theirs[len(theirs)-1].id))
	}
	return &unservable{
		reason: jobapi.BackupAmbiguous,
		text: fmt.Sprintf("%s.pair.uid: %d pairs %s have left backups, name the UID of one: %s",
			restoreField, len(uids), v.request.Pair, strings.Join(each, ", ")),
	}
}

// listed are all complete backups, the oldest first. No object is read.
func listed(ctx context.Context, objects backup.Objects) ([]stored, error) {
	var all []stored
	err := objects.List(ctx, "", func(info store.Info) error {
		uid, key, _ := strings.Cut(info.Key, "/")
		if id, ok := backup.CompleteID(key); ok {
			all = append(all, stored{uid: uid, id: id})
		}
		return nil
	})
	// IDs begin with the time at which the backup did.
	slices.SortFunc(all, func(a, b stored) int { return strings.Compare(a.id, b.id) })
	return all, err
}

func of(all []stored, uid string) []stored {
	return slices.DeleteFunc(slices.Clone(all), func(s stored) bool { return s.uid != uid })
}

func uidsOf(all []stored) []string {
	var uids []string
	for _, one := range all {
		uids = append(uids, one.uid)
	}
	slices.Sort(uids)
	return slices.Compact(uids)
}

// newest names the last backups, the newest first.
func newest(all []stored) string {
	var ids []string
	for _, one := range slices.Backward(all) {
		if len(ids) < namedBackups {
			ids = append(ids, one.id)
		}
	}
	return strings.Join(ids, ", ")
}

// withOlder adds the next older backup to the error about one that is damaged.
func (v vault) withOlder(err error, chosen stored, all []stored) error {
	var damaged *backup.DamagedError
	if !errors.As(err, &damaged) {
		return err
	}
	if v.request.Reseed != nil {
		return &unservable{
			reason: jobapi.BackupDamaged,
			text:   fmt.Sprintf("backup %s: %v; make a new one (kubectl dbpair backup), or copy the primary", chosen.id, damaged),
		}
	}
	if archive.Owns(damaged.Key) {
		return &unservable{
			reason: jobapi.ArchiveDamaged,
			text: fmt.Sprintf("%v; put it back from a copy of the store, or delete this pair, which has no data yet, and make it again with a "+
				"%s.target before it, or with the backup alone by its backupID", err, restoreField),
		}
	}
	at := slices.Index(all, chosen)
	way := "there is no older one"
	if at > 0 {
		way = fmt.Sprintf("the next older one is %s: delete this pair, which has no data yet, and make it again with that %s.backupID",
			all[at-1].id, restoreField)
	}
	return &unservable{
		reason: jobapi.BackupDamaged,
		text:   fmt.Sprintf("backup %s: %v; %s", chosen.id, damaged, way),
	}
}

// reportOf is what the operator is to know about the end of the vault.
func (v vault) reportOf(err error) jobapi.VaultReport {
	field := restoreField
	if v.request.Reseed != nil {
		field = reseedField
	}
	out := jobapi.VaultReport{
		Reason:  jobapi.VaultFailed,
		Message: advice(err, field, v.request.Store),
	}
	var known *unservable
	var foreign *age.NoIdentityMatchError
	switch {
	case errors.As(err, &known):
		out.Reason = known.reason
		return out
	case errors.As(err, &foreign):
		out.Reason = jobapi.IdentityWrong
		out.Message = v.identityField() + ": " + err.Error()
		return out
	}
	switch store.ClassOf(err) {
	case store.Denied:
		out.Reason = jobapi.StoreDenied
	case store.NoBucket:
		out.Reason = jobapi.BucketNotFound
	case store.Skewed:
		out.Reason = jobapi.StoreSkewed
	case store.Untrusted:
		out.Reason = jobapi.StoreUntrusted
	case store.Unreachable:
		out.Reason = jobapi.StoreUnreachable
	case store.NotFound, store.Exists, store.Full, store.Unknown:
	}
	return out
}

// folder is a part of a store, for reading.
type folder struct {
	archive.Objects
	// name ends in a slash.
	name string
}

var errReadOnly = errors.New("a restore writes nothing into the store")

// Get implements backup.Objects.
func (f folder) Get(ctx context.Context, key string) ([]byte, error) {
	return f.Objects.Get(ctx, f.name+key)
}

// Head implements archive.Objects.
func (f folder) Head(ctx context.Context, key string, size int64) ([]byte, error) {
	return f.Objects.Head(ctx, f.name+key, size)
}

// List implements backup.Objects.
func (f folder) List(ctx context.Context, prefix string, visit func(store.Info) error) error {
	return f.Objects.List(ctx, f.name+prefix, func(info store.Info) error {
		info.Key = strings.TrimPrefix(info.Key, f.name)
		return visit(info)
	})
}

// Put implements backup.Objects.
func (f folder) Put(context.Context, string, []byte) error { return errReadOnly }

// Delete implements backup.Objects.
func (f folder) Delete(context.Context, string) error { return errReadOnly }
