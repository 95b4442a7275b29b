package maven

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/langpkgtest"
	"github.com/seawall-security/seawall/internal/seawall"
)

const parentPOM = `<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <groupId>com.example</groupId>
  <artifactId>parent</artifactId>
  <version>${revision}</version>
  <packaging>pom</packaging>
  <parent>
    <groupId>org.outside</groupId><artifactId>starter</artifactId><version>3.0.0</version>
  </parent>
  <properties>
    <revision>1.0-SNAPSHOT</revision>
    <jackson.version>2.13.0</jackson.version>
    <indirect>${jackson.version}</indirect>
    <loop>${loop}</loop>
  </properties>
  <dependencyManagement>
    <dependencies>
      <dependency>
        <groupId>com.fasterxml.jackson.core</groupId><artifactId>jackson-databind</artifactId><version>${indirect}</version>
      </dependency>
      <dependency>
        <groupId>junit</groupId><artifactId>junit</artifactId><version>4.12</version><scope>test</scope>
      </dependency>
      <dependency>
        <groupId>com.example</groupId><artifactId>bom</artifactId><version>1</version><type>pom</type><scope>import</scope>
      </dependency>
    </dependencies>
  </dependencyManagement>
</project>`

const bomPOM = `<project>
  <groupId>com.example</groupId><artifactId>bom</artifactId><version>1</version>
  <dependencyManagement><dependencies>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-api</artifactId><version>1.7.36</version></dependency>
    <dependency><groupId>junit</groupId><artifactId>junit</artifactId><version>9.9</version></dependency>
  </dependencies></dependencyManagement>
</project>`

const modulePOM = `<project>
  <parent>
    <groupId>com.example</groupId><artifactId>parent</artifactId><version>1.0-SNAPSHOT</version>
  </parent>
  <artifactId>module</artifactId>
  <properties><jackson.version>2.15.0</jackson.version></properties>
  <dependencies>
    <dependency><!-- managed, the property overridden here -->
      <groupId>com.fasterxml.jackson.core</groupId>
      <artifactId>jackson-databind</artifactId>
      <exclusions><exclusion><groupId>x</groupId><artifactId>y</artifactId></exclusion></exclusions>
    </dependency>
    <dependency><groupId>junit</groupId><artifactId>junit</artifactId></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-api</artifactId></dependency>
    <dependency><groupId>org.outside</groupId><artifactId>managed-outside</artifactId></dependency>
    <dependency><groupId>a</groupId><artifactId>exact</artifactId><version>[1.2]</version></dependency>
    <dependency><groupId>a</groupId><artifactId>range</artifactId><version>[1.2,2)</version></dependency>
    <dependency><groupId>a</groupId><artifactId>looping</artifactId><version>${loop}</version></dependency>
    <dependency><groupId>${project.groupId}</groupId><artifactId>sibling</artifactId><version>${project.version}</version></dependency>
    <dependency><groupId>a</groupId><artifactId>jdk</artifactId><version>1</version><scope>system</scope></dependency>
  </dependencies>
  <build><plugins><plugin><groupId>p</groupId><artifactId>plugin</artifactId><version>1</version>
    <dependencies><dependency><groupId>p</groupId><artifactId>inner</artifactId><version>1</version></dependency></dependencies>
  </plugin></plugins></build>
</project>`

const siblingPOM = `<project>
  <parent><groupId>com.example</groupId><artifactId>parent</artifactId><version>1.0-SNAPSHOT</version></parent>
  <artifactId>sibling</artifactId>
</project>`

// join collects the poms and runs the joiner over them.
func join(t *testing.T, poms map[string]string) []string {
	t.Helper()
	m := inventory.Merged{
		Configs: []seawall.ConfigFact{{Kind: "os-release"}},
		Warn:    func(reason string) { t.Errorf("warned: %s", reason) },
	}
	for _, path := range []string{"pom.xml", "bom/pom.xml", "module/pom.xml", "sibling/pom.xml"} {
		if text, ok := poms[path]; ok {
			for _, f := range langpkgtest.Facts(t, POM(), path, text) {
				m.Configs = append(m.Configs, *f.Config)
			}
		}
	}
	if err := POM().(inventory.Joiner).Join(t.Context(), &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Configs) != 1 || m.Configs[0].Kind != "os-release" {
		t.Errorf("left %v", m.Configs)
	}
	var rows []string
	for _, p := range m.Packages {
		row := fmt.Sprintf("%s %s %s:%d", p.Name, p.Version, p.Locations[0].Path, p.Locations[0].Line)
		if p.Dev {
			row += " dev"
		}
		if !p.Declared {
			t.Errorf("%s is not declared", p.Name)
		}
		rows = append(rows, row)
	}
	return rows
}

func TestPOM(t *testing.T) {
	got := join(t, map[string]string{"pom.xml": parentPOM, "bom/pom.xml": bomPOM, "module/pom.xml": modulePOM, "sibling/pom.xml": siblingPOM})
	want := []string{
		"com.fasterxml.jackson.core:jackson-databind 2.15.0 module/pom.xml:8",
		"junit:junit 4.12 module/pom.xml:13 dev",
		"org.slf4j:slf4j-api 1.7.36 module/pom.xml:14",
		"org.outside:managed-outside  module/pom.xml:15",
		"a:exact 1.2 module/pom.xml:16",
		"a:looping  module/pom.xml:18",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Without the rest of the build, versions are unknown, not invented; and the
// sibling's exact version is all that is known of it.
func TestLonePOM(t *testing.T) {
	got := join(t, map[string]string{"module/pom.xml": modulePOM})
	want := []string{
		"com.fasterxml.jackson.core:jackson-databind  module/pom.xml:8",
		"junit:junit  module/pom.xml:13",
		"org.slf4j:slf4j-api  module/pom.xml:14",
		"org.outside:managed-outside  module/pom.xml:15",
		"a:exact 1.2 module/pom.xml:16",
		"a:looping  module/pom.xml:18",
		"com.example:sibling 1.0-SNAPSHOT module/pom.xml:19",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A pom that is its own parent and imports itself ends.
func TestCircularPOM(t *testing.T) {
	const circular = `<project><groupId>g</groupId><artifactId>a</artifactId><version>${v}</version>
<parent><groupId>g</groupId><artifactId>a</artifactId><version>1</version><relativePath>pom.xml</relativePath></parent>
<properties><v>${w}${w}</v><w>${v}${v}</w></properties>
<dependencyManagement><dependencies><dependency><groupId>g</groupId><artifactId>a</artifactId><version>1</version><scope>import</scope></dependency></dependencies></dependencyManagement>
<dependencies><dependency><groupId>x</groupId><artifactId>y</artifactId><version>${v}</version></dependency></dependencies></project>`
	if diff := cmp.Diff([]string{"x:y  pom.xml:5"}, join(t, map[string]string{"pom.xml": circular})); diff != "" {
		t.Error(diff)
	}
}

const gradleLock = `# This is a Gradle generated file for dependency locking.
com.google.guava:guava:31.1-jre=compileClasspath,runtimeClasspath,testRuntimeClasspath
junit:junit:4.13.2=testCompileClasspath,testRuntimeClasspath
empty=annotationProcessor
`

const verification = `<?xml version="1.0" encoding="UTF-8"?>
<verification-metadata xmlns="https://schema.gradle.org/dependency-verification">
   <configuration><verify-metadata>true</verify-metadata></configuration>
   <components>
      <component group="com.google.guava" name="guava" version="31.1-jre">
         <artifact name="guava-31.1-jre.jar"><sha256 value="00"/></artifact>
      </component>
   </components>
</verification-metadata>
`

func TestGradle(t *testing.T) {
	want := []string{"com.google.guava:guava 31.1-jre :2", "junit:junit 4.13.2 :3 dev"}
	if diff := cmp.Diff(want, langpkgtest.Rows(t, GradleLock(), true, "gradle.lockfile", gradleLock)); diff != "" {
		t.Error(diff)
	}
	want = []string{"org.slf4j:slf4j-api 1.7.36 :1"}
	got := langpkgtest.Rows(t, GradleLock(), true, "gradle/dependency-locks/compile.lockfile", "org.slf4j:slf4j-api:1.7.36\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	want = []string{"com.google.guava:guava 31.1-jre :5"}
	if diff := cmp.Diff(want, langpkgtest.Rows(t, GradleVerification(), true, "gradle/verification-metadata.xml", verification)); diff != "" {
		t.Error(diff)
	}
}

// FuzzPOM resolves any two poms together: packages have a name, and a version
// that is a version or unknown, never a property.
func FuzzPOM(f *testing.F) {
	f.Add([]byte(parentPOM), []byte(modulePOM))
	f.Add([]byte(bomPOM), []byte(siblingPOM))
	f.Fuzz(func(t *testing.T, above, below []byte) {
		var m inventory.Merged
		m.Warn = func(string) {}
		for path, data := range map[string][]byte{"pom.xml": above, "module/pom.xml": below} {
			facts, _ := POM().Collect(t.Context(), langpkgtest.File(path, data))
			for _, fact := range facts {
				m.Configs = append(m.Configs, *fact.Config)
			}
		}
		if err := POM().(inventory.Joiner).Join(t.Context(), &m); err != nil {
			t.Fatal(err)
		}
		for _, p := range m.Packages {
			if p.Name == "" || strings.Contains(p.Version, "${") {
				t.Errorf("got %q %q", p.Name, p.Version)
			}
		}
	})
}

func FuzzGradleLock(f *testing.F) { langpkgtest.Fuzz(f, GradleLock(), "gradle.lockfile", gradleLock) }

func FuzzGradleVerification(f *testing.F) {
	langpkgtest.Fuzz(f, GradleVerification(), "verification-metadata.xml", verification)
}
