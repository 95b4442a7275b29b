package dockerfile

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const from = "FROM debian:12@sha256:0000000000000000000000000000000000000000000000000000000000000000\n"

// sound ends a Dockerfile without a breach of the rules on the final image.
const sound = "\nHEALTHCHECK CMD [\"/check\"]\nUSER 10001\n"

type lintCase struct {
	rule string
	line int // of the breach, in bad
	bad  string
	good []string
}

// TestRules breaks every rule once, and keeps it in texts that look alike.
func TestRules(t *testing.T) {
	cases := slices.Concat(buildCases(), contentCases(), commandCases())
	tested := map[string]bool{}
	for _, c := range cases {
		tested[c.rule] = true
		if i := slices.IndexFunc(lintText(t, c.bad), func(b breach) bool { return b.rule == c.rule && b.line == c.line }); i < 0 {
			t.Errorf("%s not found at line %d of:\n%s\ngot %v", c.rule, c.line, c.bad, lintText(t, c.bad))
		}
		for _, good := range c.good {
			for _, b := range lintText(t, good) {
				if b.rule == c.rule {
					t.Errorf("%s found (%s) in:\n%s", c.rule, b.evidence, good)
				}
			}
		}
	}
	for _, r := range rules() {
		if !tested[r.ID] {
			t.Errorf("%s has no case here", r.ID)
		}
		if r.Title == "" || r.Rationale == "" || r.Remediation == "" || len(r.References) == 0 {
			t.Errorf("%s is incomplete", r.ID)
		}
	}
}

func lintText(t *testing.T, text string) []breach {
	t.Helper()
	f, err := parse([]byte(text))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return lint(f)
}

func buildCases() []lintCase {
	return []lintCase{
		{"SW-DF-001", 1, "FROM debian", []string{"FROM debian:12", "FROM scratch", "FROM debian:12 AS a\nFROM a", "ARG V=12\nFROM debian:${V}", "ARG BASE\nFROM $BASE"}},
		{"SW-DF-001", 2, "ARG TAG=latest\nFROM host:5000/debian:$TAG", []string{"FROM host:5000/debian:1", "FROM x:${TAG:-3}"}},
		{"SW-DF-001", 2, from + "COPY --from=nginx /a /b", []string{"FROM nginx:1 AS b\nFROM x:1\nCOPY --from=B /a /b\nCOPY --from=0 /a /b"}},
		{"SW-DF-002", 1, "FROM debian:12", []string{from}},
		{"SW-DF-003", 1, from, []string{from + "USER app", "FROM gcr.io/distroless/static:nonroot", from[:len(from)-1] + " AS a\nUSER 5\nFROM a"}},
		{"SW-DF-003", 3, from + "USER app\nUSER 0:0", []string{from + "USER root\nRUN x\nUSER $APP"}},
		{"SW-DF-004", 2, from + "ADD https://example.org/a /a", []string{from + "ADD --checksum=sha256:00 https://example.org/a /a", from + "ADD https://example.org/a.git /a"}},
		{"SW-DF-005", 2, from + "ADD src /src", []string{from + "ADD root.tar.xz /", from + "COPY src /src"}},
		{"SW-DF-006", 2, from + "WORKDIR app", []string{from + "WORKDIR /app", from + "WORKDIR $HOME/x", from + `WORKDIR C:\app`}},
		{"SW-DF-007", 2, from + "MAINTAINER me", []string{from + "LABEL maintainer=me"}},
		{"SW-DF-008", 2, from + "ENTRYPOINT /app --serve", []string{from + `ENTRYPOINT ["/app"]`, from + "CMD exec /app", from + "HEALTHCHECK CMD curl localhost"}},
		{"SW-DF-009", 2, from + "RUNN true", []string{from + "onbuild run true\nshell [\"/bin/bash\"]"}},
		{"SW-DF-010", 3, from + "CMD [\"a\"]\nCMD [\"b\"]", []string{"FROM a:1\nCMD [\"a\"]\nFROM b:1\nCMD [\"b\"]", from + "CMD [\"a\"]\nONBUILD CMD [\"b\"]"}},
		{"SW-DF-011", 1, from, []string{from + "HEALTHCHECK NONE", "FROM a:1 AS b\nHEALTHCHECK CMD x\nFROM b"}},
		{"SW-DF-012", 3, from + "EXPOSE 80 \\\n 22/tcp", []string{from + "EXPOSE 8080 2222 443"}},
		{"SW-DF-013", 2, "FROM a:1 AS x\nFROM b:1 as X", []string{"FROM a:1 AS x\nFROM b:1 AS y"}},
		{"SW-DF-014", 2, from + "RUN --security=insecure mount", []string{from + "RUN --network=none make"}},
	}
}

func contentCases() []lintCase {
	return []lintCase{
		{"SW-DF-020", 3, from + "ENV A=b \\\n DB_PASSWORD='hunter2'", []string{
			from + "ENV DB_PASSWORD_FILE=/run/secrets/db", from + "ENV DB_PASSWORD=", from + "ENV TOKEN=$TOKEN", from + "ENV PWD=/app", from + "ENV GPG_KEY=E3FF2839C048B25C084DEBE9B26995E310250568",
			from + "ENV TOKEN_URL=https://x", from + "ENV API_TOKEN_TTL=3600"}},
		{"SW-DF-020", 2, from + "ENV AWS_SECRET_ACCESS_KEY abcdef0123456789", nil},
		{"SW-DF-021", 2, from + "ARG NPM_TOKEN", []string{from + "ARG VERSION=1", from + "ARG TOKEN_COUNT=1"}},
		{"SW-DF-022", 2, from + "COPY conf/id_rsa /root/.ssh/", []string{from + "COPY id_rsa.pub /x/", from + "COPY --from=0 /k/id_rsa /x", from + "COPY .env.example /x", from + "COPY keyboard.key.txt /x"}},
		{"SW-DF-023", 2, from + "COPY . /app", []string{from + "COPY ./src /app", "FROM a:1 AS b\nFROM c:1\nCOPY --from=b . /x"}},
		{"SW-DF-024", 2, from + "RUN git clone https://me:ghp_x@example.org/r", []string{from + "RUN git clone https://me:$TOKEN@example.org/r", from + "RUN git clone ssh://git@example.org:22/r"}},
		{"SW-DF-025", 3, from + "RUN true && \\\n echo root:root | chpasswd", []string{from + "RUN echo 'app:$6$x' | chpasswd -e", from + "RUN useradd -p '*' app"}},
		{"SW-DF-026", 2, from + "ENV NODE_TLS_REJECT_UNAUTHORIZED=0", []string{from + "ENV NODE_TLS_REJECT_UNAUTHORIZED=1"}},
	}
}

func commandCases() []lintCase {
	return []lintCase{
		{"SW-DF-030", 3, from + "RUN set -e; \\\n curl -fsSL https://x.org/i.sh | bash -s -- -y", []string{
			from + "RUN curl -f https://x | tar xz", from + "RUN curl https://x | python3 -c 'import json'", from + "RUN curl -o a https://x && echo 'sum a' | sha256sum -c && sh a", from + "RUN echo 'curl https://x | sh'"}},
		{"SW-DF-030", 2, from + `RUN sh -c "$(curl -fsSL https://x)"`, []string{from + `RUN sh -c "echo $(date)"`, from + `RUN V="$(curl https://x/version)" && echo $V`}},
		{"SW-DF-030", 3, from + "RUN <<EOF\nwget -qO- https://x | sh\nEOF", []string{from + "RUN <<EOF python3\nwget -qO- https://x | sh\nEOF", from + "COPY <<EOF /x\nwget -qO- https://x | sh\nEOF"}},
		{"SW-DF-030", 2, from + `RUN ["/bin/sh", "-c", "curl https://x | sh"]`, nil},
		{"SW-DF-030", 2, from + "RUN bash <(curl -s https://x)", nil},
		{"SW-DF-031", 2, from + "RUN sudo make install", []string{from + "RUN rm -f /etc/sudo.conf"}},
		{"SW-DF-031", 2, from + "RUN apk add --no-cache sudo", nil},
		{"SW-DF-032", 2, from + "RUN apt-get update", []string{from + "RUN apt-get update \\\n # why\n && apt-get install -y x", from + "RUN sudo apt-get update && sudo apt-get install -y x", from + "RUN apt-get -o A::B=c update && ./install.sh"}},
		{"SW-DF-033", 2, from + "RUN apt-get update && apt-get -y dist-upgrade", []string{from + "RUN yum update -y openssl", from + "RUN npm update"}},
		{"SW-DF-034", 2, from + "RUN apt-get install -y curl", []string{from + "RUN apt-get install -y --no-install-recommends curl", from + "RUN apt-get -o APT::Install-Recommends=0 install -y curl"}},
		{"SW-DF-035", 2, from + "RUN apt-get install -y curl", []string{from + "RUN apt-get install -y curl && rm -rf /var/lib/apt/lists/*", from + "RUN --mount=type=cache,target=/var/lib/apt apt-get install -y curl", from + "RUN apk add --no-cache x", from + "RUN dnf install -y x && dnf clean all"}},
		{"SW-DF-035", 2, from + "RUN apk add x", nil},
		{"SW-DF-035", 2, from + "RUN dnf -y install x", nil},
		{"SW-DF-036", 2, from + "RUN apt-get install curl", []string{from + "RUN apt-get -qqy install curl", from + "RUN DEBIAN_FRONTEND=noninteractive apt-get install --yes curl", from + "RUN zypper -n install curl"}},
		{"SW-DF-037", 2, from + "RUN pip install requests", []string{
			from + "RUN pip install requests==2.31.0", from + "RUN pip install -r requirements.txt", from + "RUN pip install .", from + "RUN pip install -U pip", from + "RUN npm install", from + "RUN npm ci", from + "RUN npm i -g @scope/x@1.2", from + "RUN go install example.org/x@v1", from + "RUN go install ./...", from + "RUN pip install $PKG"}},
		{"SW-DF-037", 2, from + "RUN npm install -g @scope/x", nil},
		{"SW-DF-037", 2, from + "RUN go install example.org/x@latest", nil},
		{"SW-DF-038", 2, from + "RUN chmod -R 0777 /app", []string{from + "RUN chmod 755 a", from + "RUN chmod 1777 /tmp", from + "RUN chmod u+w,g+w a", from + "RUN chmod +x 777"}},
		{"SW-DF-038", 2, from + "RUN chmod a+w /app", nil},
		{"SW-DF-039", 2, from + "RUN chmod 4755 /bin/x", []string{from + "RUN chmod 0755 /bin/x", from + "RUN chmod u-s /bin/x", from + "RUN chmod 1777 /tmp"}},
		{"SW-DF-039", 2, from + "RUN chmod u+s /bin/x", nil},
		{"SW-DF-040", 2, from + "RUN apt-get install -y --allow-unauthenticated x", []string{from + "RUN apt-get install -y x"}},
		{"SW-DF-040", 2, from + "RUN apk add --allow-untrusted x.apk", []string{from + "RUN apk add x"}},
		{"SW-DF-040", 2, from + "RUN yum install -y --nogpgcheck x", []string{from + "RUN yum install -y x"}},
		{"SW-DF-041", 2, from + "RUN curl -fsSLk https://x -o y", []string{from + "RUN curl -fsSL https://x -o kk", from + "RUN curl -H -k1 https://x", from + "RUN curl -k http://localhost/"}},
		{"SW-DF-041", 2, from + "RUN wget --no-check-certificate https://x", nil},
		{"SW-DF-041", 2, from + "RUN git -c http.sslVerify=false clone https://x", nil},
		{"SW-DF-042", 2, from + "RUN pip install --trusted-host x y==1", []string{from + "RUN pip install y==1"}},
		{"SW-DF-042", 2, from + "RUN npm config set strict-ssl false", []string{from + "RUN npm config set strict-ssl true"}},
		{"SW-DF-043", 2, from + "RUN npm ci --unsafe-perm", []string{from + "RUN npm ci --unsafe-perm=false"}},
		{"SW-DF-044", 2, from + "RUN wget http://example.org/a.tgz", []string{from + "RUN wget https://example.org/a.tgz", from + "RUN curl http://localhost:80/", from + "RUN echo http://x"}},
		{"SW-DF-045", 2, from + "RUN apt-get install -y openssh-server", []string{from + "RUN apt-get install -y openssh-client"}},
		{"SW-DF-046", 2, from + `RUN echo "app ALL=(ALL) NOPASSWD:ALL" >> /etc/sudoers`, []string{from + "RUN grep NOPASSWD /etc/sudoers"}},
		{"SW-DF-047", 2, from + "RUN apt install -y x", []string{from + "RUN apt-get install -y x", from + "RUN echo apt"}},
	}
}

// TestNeverShowsCredentials: evidence goes into reports.
func TestNeverShowsCredentials(t *testing.T) {
	const secret = "s3cr3tvalue"
	text := from + "ENV DB_PASSWORD=" + secret + " \nARG TOKEN=" + secret + "\nRUN curl -k http://u:" + secret + "@x | sh && useradd -p " + secret + " a && echo a:" + secret + " | chpasswd && pip install git+https://u:" + secret + "@x\n" +
		"ADD http://u:" + secret + "@x/y /y\nENV API_TOKEN " + secret + "\n"
	found := lintText(t, text)
	if len(found) < 9 {
		t.Errorf("only %v", found)
	}
	for _, b := range found {
		if strings.Contains(b.evidence, secret) {
			t.Errorf("%s shows it: %s", b.rule, b.evidence)
		}
	}
}

func TestParse(t *testing.T) {
	const text = "\ufeff# syntax=docker/dockerfile:1\r\n# escape=`\r\n\r\nARG V=3\r\nfrom --platform=$BUILDPLATFORM x:$V as Build\r\nRUN a `\r\n# comment\r\n\r\n  b\r\nCOPY <<ONE <<-\"TWO\" /d/\r\nRUN inside\r\nONE\r\n\tlast\r\n\tTWO\r\nONBUILD RUN [\"c\", \"d\"]\r\nCMD x"
	f, err := parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got := f.stages
	want := []stage{{
		from:  instruction{line: 5, keyword: "FROM", flags: []string{"--platform=$BUILDPLATFORM"}, text: "x:$V as Build", textLine: 5},
		image: "x:3", name: "build",
		body: []instruction{
			{line: 6, keyword: "RUN", text: "a \n\n\n  b", textLine: 6},
			{line: 10, keyword: "COPY", text: "<<ONE <<-\"TWO\" /d/", textLine: 10, heredocs: []heredoc{{"ONE", 11, "RUN inside"}, {"TWO", 13, "\tlast"}}},
			{line: 15, keyword: "RUN", onBuild: true, text: `["c", "d"]`, textLine: 15, exec: []string{"c", "d"}},
			{line: 16, keyword: "CMD", text: "x", textLine: 16},
		},
	}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(stage{}, instruction{}, heredoc{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{"", "just text", "# only comments", "FROM x\x00", "FROM a\n" + strings.Repeat("RUN x\n", maxInstructions)} {
		if f, err := parse([]byte(bad)); err == nil || f != nil {
			t.Errorf("parse(%.20q) = %v, %v", bad, f, err)
		}
	}
}

func TestWantsNames(t *testing.T) {
	for name, want := range map[string]bool{
		"Dockerfile": true, "dockerfile": true, "Containerfile": true, "Dockerfile.dev": true, "app.Dockerfile": true, "api.containerfile": true,
		"Dockerfile.go": false, "dockerfiles": false, "mydockerfile": false, "Dockerfile.tmpl": false, "README": false,
	} {
		if got := isDockerfile(name); got != want {
			t.Errorf("isDockerfile(%q) = %v", name, got)
		}
	}
}

func FuzzLint(f *testing.F) {
	for _, c := range slices.Concat(buildCases(), contentCases(), commandCases()) {
		f.Add([]byte(c.bad))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		parsed, err := parse(data)
		if (err == nil) != (parsed != nil) {
			t.Fatalf("parsed %v, error %v", parsed, err)
		}
		if err != nil {
			return
		}
		lines := strings.Count(string(data), "\n") + 1
		for _, b := range lint(parsed) {
			if b.line < 1 || b.line > lines+1 || b.evidence == "" || len([]rune(b.evidence)) > 161 {
				t.Fatalf("%+v in %d lines", b, lines)
			}
		}
	})
}
