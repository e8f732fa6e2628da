package controllers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// TestOperationsOfAFormerPairDoNothing: what was asked of a pair is not done to another one
// that is made under its name later, whether the object stayed or its manifest was kept.
func TestOperationsOfAFormerPairDoNothing(t *testing.T) {
	s := newScene(t)
	stayed, err := s.newOperation(v1alpha1.OperationSpec{PairRef: v1alpha1.PairReference{}, Type: v1alpha1.OperationFailover})
	s.must(err)
	compared, err := s.newOperation(v1alpha1.OperationSpec{PairRef: v1alpha1.PairReference{}, Type: v1alpha1.OperationFence})
	s.must(err)
	// The API server's timestamps are whole seconds, and a second may have begun between the two.
	for born := compared.CreationTimestamp.Time; !time.Now().Truncate(time.Second).After(born); {
		time.Sleep(20 * time.Millisecond)
	}
	p, err := s.pair("shop", plain)
	s.must(err)
	kept, err := s.newOperation(v1alpha1.OperationSpec{
		PairRef: v1alpha1.PairReference{UID: "00000000-0000-0000-0000-00000000000a"},
		Type:    v1alpha1.OperationForcePromote,
		Target:  "shop-1",
		Confirm: "shop/0",
	})
	s.must(err)
	repeated, err := s.newOperation(v1alpha1.OperationSpec{
		PairRef: v1alpha1.PairReference{UID: "00000000-0000-0000-0000-00000000000a"}, Type: v1alpha1.OperationChecksum,
	})
	s.must(err)
	for op, says := range map[*v1alpha1.DatabasePairOperation]string{
		stayed: "older than this pair", compared: "older than this pair", kept: "spec.pairRef.uid", repeated: "spec.pairRef.uid",
	} {
		s.eventually(fmt.Sprintf("%s is refused", op.Spec.Type), func() error {
			if err := s.Get(s.ctx, client.ObjectKeyFromObject(op), op); err != nil {
				return err
			}
			if op.Status.Phase != v1alpha1.OperationFailed || !strings.Contains(op.Status.Message, says) {
				return errNot(v1alpha1.OperationFailed, says)
			}
			return nil
		})
	}
	mine, err := s.newOperation(v1alpha1.OperationSpec{
		PairRef: v1alpha1.PairReference{UID: string(p.UID)},
		Type:    v1alpha1.OperationForcePromote,
		Target:  "shop-1",
		Confirm: "shop/7",
	})
	s.must(err)
	s.eventually("one about this pair is judged by its epoch", func() error {
		if err := s.Get(s.ctx, client.ObjectKey{Namespace: mine.Namespace, Name: mine.Name}, mine); err != nil {
			return err
		}
		if !strings.Contains(mine.Status.Message, "shop/0") {
			return errNot(v1alpha1.OperationFailed, "its confirmation is not shop/0")
		}
		return nil
	})
}
