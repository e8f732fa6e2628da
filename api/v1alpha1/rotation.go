package v1alpha1

// Annotations of a DatabasePair that ask for new certificates and passwords. The value is
// the time of the request in RFC 3339; what is older than it is replaced, once.
// kubectl dbpair rotate sets them.
const (
	// AnnotationRotateCA asks for another certificate authority, in phases: it is published,
	// then it signs new certificates, then the former one is no longer trusted.
	AnnotationRotateCA = "dbpair.io/rotate-ca"
	// AnnotationRotateCertificates asks for new certificates of members and Jobs.
	AnnotationRotateCertificates = "dbpair.io/rotate-certificates"
	// AnnotationRotatePasswords asks for new passwords of the pair's own accounts. That of the
	// application is its owner's.
	AnnotationRotatePasswords = "dbpair.io/rotate-passwords"
)
