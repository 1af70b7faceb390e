package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// A test run is over long before.
const validFor = 30 * 24 * time.Hour

// runPKI writes what the servers and their clients prove themselves with: ca.crt; apiserver.crt and .key for 127.0.0.1;
// admin.crt and .key for the group system:masters; sa.key and sa.pub for the tokens of ServiceAccounts.
func runPKI(args []string) int {
	flags := flag.NewFlagSet("pki", flag.ExitOnError)
	directory := flags.String("dir", "", "where the files are written")
	_ = flags.Parse(args)
	if err := writePKI(*directory); err != nil {
		fmt.Fprintln(os.Stderr, "pki:", err)
		return 1
	}
	return 0
}

func writePKI(directory string) error {
	authority, err := newAuthority()
	if err != nil {
		return err
	}
	if err := writePEM(directory, "ca.crt", "CERTIFICATE", authority.certificate.Raw); err != nil {
		return err
	}
	server := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost", "kubernetes.default.svc"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if err := authority.issue(directory, "apiserver", server); err != nil {
		return err
	}
	admin := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if err := authority.issue(directory, "admin", admin); err != nil {
		return err
	}
	return writeTokenKeys(directory)
}

type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newAuthority() (*authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "stackledger-tests"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if err := stamp(template); err != nil {
		return nil, err
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(raw)
	return &authority{key, certificate}, err
}

// issue writes NAME.crt and NAME.key.
func (a *authority) issue(directory, name string, template *x509.Certificate) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	if err := stamp(template); err != nil {
		return err
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return err
	}
	if err := writePEM(directory, name+".crt", "CERTIFICATE", raw); err != nil {
		return err
	}
	return writeKey(directory, name+".key", key)
}

func writeTokenKeys(directory string) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := writePEM(directory, "sa.pub", "PUBLIC KEY", public); err != nil {
		return err
	}
	return writeKey(directory, "sa.key", key)
}

func newKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// stamp gives a certificate its number and its times.
func stamp(template *x509.Certificate) error {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	template.SerialNumber = serial
	// Clocks of one machine agree, but a certificate is valid from the full second only.
	template.NotBefore = time.Now().Add(-time.Minute)
	template.NotAfter = time.Now().Add(validFor)
	return err
}

func writeKey(directory, name string, key *ecdsa.PrivateKey) error {
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(directory, name, "EC PRIVATE KEY", raw)
}

func writePEM(directory, name, kind string, content []byte) error {
	block := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})
	return os.WriteFile(filepath.Join(directory, name), block, 0o600)
}
