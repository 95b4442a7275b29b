package java

import "strings"

// knownGroup returns the group that alone publishes an artifact of this name on
// Maven Central, "" when none is known. Names ending in "*" are families.
func knownGroup(artifact string) string {
	for _, k := range [...]struct{ artifact, group string }{
		{"log4j", "log4j"},
		{"log4j-1.2-api", "org.apache.logging.log4j"}, {"log4j-api", "org.apache.logging.log4j"}, {"log4j-core", "org.apache.logging.log4j"},
		{"log4j-slf4j-impl", "org.apache.logging.log4j"}, {"log4j-slf4j2-impl", "org.apache.logging.log4j"}, {"log4j-jcl", "org.apache.logging.log4j"}, {"log4j-web", "org.apache.logging.log4j"},
		{"slf4j-*", "org.slf4j"}, {"jul-to-slf4j", "org.slf4j"}, {"jcl-over-slf4j", "org.slf4j"}, {"log4j-over-slf4j", "org.slf4j"},
		{"logback-classic", "ch.qos.logback"}, {"logback-core", "ch.qos.logback"}, {"logback-access", "ch.qos.logback"},
		{"spring-boot*", "org.springframework.boot"}, {"spring-security-*", "org.springframework.security"},
		{"spring-cloud-gateway-*", "org.springframework.cloud"}, {"spring-cloud-function-*", "org.springframework.cloud"},
		{"spring-data-*", "org.springframework.data"}, {"spring-webflow", "org.springframework.webflow"}, {"spring-ldap-core", "org.springframework.ldap"},
		{"spring-aop", "org.springframework"}, {"spring-aspects", "org.springframework"}, {"spring-beans", "org.springframework"}, {"spring-context", "org.springframework"},
		{"spring-context-support", "org.springframework"}, {"spring-core", "org.springframework"}, {"spring-expression", "org.springframework"}, {"spring-jcl", "org.springframework"},
		{"spring-jdbc", "org.springframework"}, {"spring-jms", "org.springframework"}, {"spring-messaging", "org.springframework"}, {"spring-orm", "org.springframework"},
		{"spring-oxm", "org.springframework"}, {"spring-tx", "org.springframework"}, {"spring-web", "org.springframework"}, {"spring-webflux", "org.springframework"},
		{"spring-webmvc", "org.springframework"}, {"spring-websocket", "org.springframework"},
		{"jackson-core", "com.fasterxml.jackson.core"}, {"jackson-databind", "com.fasterxml.jackson.core"}, {"jackson-annotations", "com.fasterxml.jackson.core"},
		{"jackson-dataformat-*", "com.fasterxml.jackson.dataformat"}, {"jackson-datatype-*", "com.fasterxml.jackson.datatype"},
		{"jackson-core-asl", "org.codehaus.jackson"}, {"jackson-mapper-asl", "org.codehaus.jackson"},
		{"commons-lang", "commons-lang"}, {"commons-io", "commons-io"}, {"commons-codec", "commons-codec"}, {"commons-logging", "commons-logging"},
		{"commons-collections", "commons-collections"}, {"commons-beanutils", "commons-beanutils"}, {"commons-fileupload", "commons-fileupload"},
		{"commons-httpclient", "commons-httpclient"}, {"commons-net", "commons-net"}, {"commons-cli", "commons-cli"}, {"commons-dbcp", "commons-dbcp"},
		{"commons-pool", "commons-pool"}, {"commons-digester", "commons-digester"}, {"commons-validator", "commons-validator"}, {"commons-jxpath", "commons-jxpath"},
		{"commons-lang3", "org.apache.commons"}, {"commons-text", "org.apache.commons"}, {"commons-collections4", "org.apache.commons"}, {"commons-compress", "org.apache.commons"},
		{"commons-configuration2", "org.apache.commons"}, {"commons-csv", "org.apache.commons"}, {"commons-dbcp2", "org.apache.commons"}, {"commons-email", "org.apache.commons"},
		{"commons-exec", "org.apache.commons"}, {"commons-math3", "org.apache.commons"}, {"commons-pool2", "org.apache.commons"}, {"commons-fileupload2*", "org.apache.commons"},
		{"httpclient", "org.apache.httpcomponents"}, {"httpcore", "org.apache.httpcomponents"}, {"httpmime", "org.apache.httpcomponents"},
		{"httpclient5", "org.apache.httpcomponents.client5"}, {"httpcore5", "org.apache.httpcomponents.core5"},
		{"tomcat-embed-*", "org.apache.tomcat.embed"}, {"tomcat-*", "org.apache.tomcat"},
		{"struts2-*", "org.apache.struts"}, {"struts-core", "org.apache.struts"}, {"shiro-*", "org.apache.shiro"}, {"cxf-*", "org.apache.cxf"},
		{"activemq-*", "org.apache.activemq"}, {"artemis-*", "org.apache.activemq"}, {"camel-*", "org.apache.camel"}, {"kafka-clients", "org.apache.kafka"},
		{"zookeeper", "org.apache.zookeeper"}, {"hadoop-*", "org.apache.hadoop"}, {"lucene-*", "org.apache.lucene"}, {"solr-*", "org.apache.solr"},
		{"poi", "org.apache.poi"}, {"poi-*", "org.apache.poi"}, {"tika-*", "org.apache.tika"}, {"pdfbox", "org.apache.pdfbox"}, {"fop", "org.apache.xmlgraphics"},
		{"batik-*", "org.apache.xmlgraphics"}, {"xmlsec", "org.apache.santuario"}, {"wss4j-*", "org.apache.wss4j"}, {"velocity-engine-core", "org.apache.velocity"},
		{"velocity", "org.apache.velocity"}, {"mina-core", "org.apache.mina"}, {"sshd-core", "org.apache.sshd"}, {"avro", "org.apache.avro"}, {"thrift", "org.apache.thrift"}, {"libthrift", "org.apache.thrift"},
		{"ant", "org.apache.ant"}, {"ivy", "org.apache.ivy"}, {"derby", "org.apache.derby"}, {"xercesImpl", "xerces"}, {"xalan", "xalan"}, {"xml-apis", "xml-apis"},
		{"netty-all", "io.netty"}, {"netty-buffer", "io.netty"}, {"netty-codec*", "io.netty"}, {"netty-common", "io.netty"}, {"netty-handler*", "io.netty"},
		{"netty-resolver*", "io.netty"}, {"netty-transport*", "io.netty"}, {"netty", "io.netty"},
		{"jetty-*", "org.eclipse.jetty"}, {"jersey-*", "org.glassfish.jersey.core"}, {"undertow-core", "io.undertow"}, {"vertx-*", "io.vertx"},
		{"guava", "com.google.guava"}, {"gson", "com.google.code.gson"}, {"protobuf-java*", "com.google.protobuf"}, {"okhttp", "com.squareup.okhttp3"}, {"okio", "com.squareup.okio"}, {"okio-jvm", "com.squareup.okio"},
		{"snakeyaml", "org.yaml"}, {"xstream", "com.thoughtworks.xstream"}, {"dom4j", "org.dom4j"}, {"jdom2", "org.jdom"}, {"woodstox-core", "com.fasterxml.woodstox"}, {"json-smart", "net.minidev"}, {"json-path", "com.jayway.jsonpath"},
		{"fastjson", "com.alibaba"}, {"fastjson2", "com.alibaba.fastjson2"}, {"druid", "com.alibaba"}, {"json", "org.json"}, {"jsoup", "org.jsoup"},
		{"bcprov-*", "org.bouncycastle"}, {"bcpkix-*", "org.bouncycastle"}, {"bctls-*", "org.bouncycastle"}, {"nimbus-jose-jwt", "com.nimbusds"}, {"jose4j", "org.bitbucket.b_c"},
		{"hibernate-core", "org.hibernate"}, {"hibernate-validator", "org.hibernate.validator"}, {"mybatis", "org.mybatis"},
		{"mysql-connector-java", "mysql"}, {"mysql-connector-j", "com.mysql"}, {"postgresql", "org.postgresql"}, {"mariadb-java-client", "org.mariadb.jdbc"}, {"mssql-jdbc", "com.microsoft.sqlserver"},
		{"h2", "com.h2database"}, {"hsqldb", "org.hsqldb"}, {"sqlite-jdbc", "org.xerial"}, {"snappy-java", "org.xerial.snappy"}, {"lz4-java", "org.lz4"}, {"c3p0", "com.mchange"}, {"HikariCP", "com.zaxxer"}, {"jedis", "redis.clients"},
		{"kotlin-stdlib*", "org.jetbrains.kotlin"}, {"scala-library", "org.scala-lang"}, {"groovy", "org.codehaus.groovy"}, {"groovy-all", "org.codehaus.groovy"}, {"jython-standalone", "org.python"}, {"jruby-complete", "org.jruby"}, {"rhino", "org.mozilla"},
		{"junit", "junit"}, {"testng", "org.testng"}, {"quartz", "org.quartz-scheduler"}, {"freemarker", "org.freemarker"}, {"thymeleaf", "org.thymeleaf"}, {"handlebars", "com.github.jknack"}, {"itextpdf", "com.itextpdf"},
		{"asm", "org.ow2.asm"}, {"asm-*", "org.ow2.asm"}, {"javassist", "org.javassist"}, {"cglib", "cglib"}, {"byte-buddy", "net.bytebuddy"}, {"plexus-utils", "org.codehaus.plexus"}, {"plexus-archiver", "org.codehaus.plexus"}, {"zip4j", "net.lingala.zip4j"},
		{"bsh", "org.apache-extras.beanshell"}, {"jsch", "com.jcraft"}, {"reactor-netty-http", "io.projectreactor.netty"}, {"graphql-java", "com.graphql-java"}, {"grpc-netty-shaded", "io.grpc"}, {"grpc-core", "io.grpc"}, {"opensaml", "org.opensaml"}, {"antisamy", "org.owasp.antisamy"}, {"esapi", "org.owasp.esapi"},
	} {
		if artifact == k.artifact {
			return k.group
		}
		if family, ok := strings.CutSuffix(k.artifact, "*"); ok && strings.HasPrefix(artifact, family) {
			return k.group
		}
	}
	return ""
}
