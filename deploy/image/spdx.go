package main

import "time"

// document is an SPDX 2.3 document (https://spdx.github.io/spdx-spec/v2.3/).
type document struct {
	Version       string         `json:"spdxVersion"`
	DataLicense   string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	External      []external     `json:"externalDocumentRefs,omitempty"`
	Creation      creation       `json:"creationInfo"`
	Packages      []pkg          `json:"packages"`
	Relationships []relationship `json:"relationships"`
}

type external struct {
	ID        string   `json:"externalDocumentId"`
	Checksum  checksum `json:"checksum"`
	Namespace string   `json:"spdxDocument"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type pkg struct {
	ID               string      `json:"SPDXID"`
	Name             string      `json:"name"`
	Version          string      `json:"versionInfo,omitempty"`
	Supplier         string      `json:"supplier"`
	DownloadLocation string      `json:"downloadLocation"`
	FilesAnalyzed    bool        `json:"filesAnalyzed"`
	LicenseConcluded string      `json:"licenseConcluded"`
	LicenseDeclared  string      `json:"licenseDeclared"`
	Copyright        string      `json:"copyrightText"`
	Purpose          string      `json:"primaryPackagePurpose,omitempty"`
	Checksums        []checksum  `json:"checksums,omitempty"`
	Refs             []reference `json:"externalRefs,omitempty"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type reference struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

const (
	unknown = "NOASSERTION"
	rootID  = "SPDXRef-DOCUMENT"
)

func newDocument(name, unique string) document {
	return document{
		Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: rootID, Name: name, Namespace: "https://davit.dev/spdx/" + name + "-" + unique,
		Creation: creation{epoch.Format(time.RFC3339), []string{"Tool: github.com/davit-dev/davit/deploy/image"}},
	}
}

// add adds a package and how another stands to it.
func (d *document) add(p pkg, from, how string) {
	p.Supplier, p.LicenseConcluded, p.Copyright = unknown, unknown, unknown
	if p.LicenseDeclared == "" {
		p.LicenseDeclared = unknown
	}
	if p.DownloadLocation == "" {
		p.DownloadLocation = unknown
	}
	d.Packages = append(d.Packages, p)
	d.Relationships = append(d.Relationships, relationship{from, how, p.ID})
}
