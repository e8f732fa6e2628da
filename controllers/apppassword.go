package controllers

import (
	"context"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// reasonAppPassword is the reason of the event about a password that cannot be used.
const reasonAppPassword = "ApplicationPasswordRefused"

// appPassword is the password of the application's account: what its owner gives, and while
// that cannot be used, which is reported, the last one, or a new one. live is the one in the
// Secret <pair>-app.
func (r *childrenReconciler) appPassword(ctx context.Context, v *childrenVisit, live []byte) ([]byte, error) {
	given, why, err := r.givenAppPassword(ctx, v, live)
	if err != nil {
		return nil, err
	}
	if len(given) > 0 && why == "" {
		return given, nil
	}
	if why != "" {
		r.warnOnce(v, v.pair, reasonAppPassword, why+"; until then the password in Secret "+v.names.App()+" is valid")
	}
	for _, last := range [][]byte{v.copies[appCopy], live} {
		if len(last) > 0 && unusableForApp(last) == "" {
			return last, nil
		}
	}
	return newPassword()
}

// givenAppPassword is what the owner of the application gives; empty for nothing. Why says what is wrong
// with it, and by which field.
func (r *childrenReconciler) givenAppPassword(ctx context.Context, v *childrenVisit, live []byte) (given []byte, why string, err error) {
	field := "Secret " + v.names.App() + ", key password"
	given = live
	if ref := v.pair.Spec.Application.PasswordSecretRef; ref != nil {
		field = "spec.application.passwordSecretRef"
		named := namedObjects{live: r.Live, namespace: v.name.Namespace}
		if given, why, err = named.value(ctx, *ref, field); err != nil || why != "" {
			return nil, why, err
		}
	}
	if len(given) == 0 {
		return nil, "", nil
	}
	if why = unusableForApp(given); why != "" {
		why = field + ": " + why
	}
	return given, why, nil
}

// maxAppPassword is in bytes; mysqld takes 256 with the zero at the end.
const maxAppPassword = 255

// unusableForApp says why a password cannot be the application's: one that no file of options
// and no connection string could hold, or that mysqld does not take. It is empty for one that
// can.
func unusableForApp(password []byte) string {
	if len(password) > maxAppPassword {
		return fmt.Sprintf("the password has %d bytes, at most %d are possible", len(password), maxAppPassword)
	}
	if !utf8.Valid(password) {
		return "the password is not UTF-8"
	}
	for _, c := range string(password) {
		if unicode.IsControl(c) || c == utf8.RuneError {
			return fmt.Sprintf("the password has the control character %U, such as the line break at the end of a file: remove it", c)
		}
	}
	return ""
}
