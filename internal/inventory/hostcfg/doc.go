// Package hostcfg makes facts of how a host is configured: accounts, sudo, PAM,
// SSH, kernel settings and modules, services, audit, logging, time, package
// management, boot loader, firewall, owners and modes.
//
//	walk -> texts, units, owners and modes -> Join, with what source/live says -> facts
//
// Every fact is a ConfigFact. Its Data are plain values with the effective
// setting: drop-ins merged in their order, defaults filled in where controls need
// them. Lists of offenders are one value, "" when there is none. Passwords' hashes never leave
// Collect; a host/unread fact (resource, reason) stands for a kind whose files could not be read.
//
//	host/user             one an account: name uid gid home shell login system homeMode homeOwner trustFiles authorizedKeysMode
//	host/password         one an account: name system password (none, locked, or the kind of hash)
//	                      changed minDays maxDays warnDays inactiveDays expires
//	host/accounts         duplicateNames duplicateUIDs duplicateGroups duplicateGIDs superusers unknownGroups legacy
//	                      unshadowed zeroGroup shadowMembers dockerMembers containerAdmins rootGroupMembers
//	host/login-defs       settings of login.defs, and INACTIVE of useradd
//	host/shell            umask timeout timeoutReadonly nologinListed
//	host/pam              "auth pam_faillock" -> arguments; "su auth pam_wheel"; pwquality.* faillock.* pwhistory.* unix.*
//	host/sudo             options of Defaults; nopasswd noauthenticate everyone
//	host/sshd             one for all, and one with match for each Match block: keywords in lower case
//	host/sysctl-drift     drift: settings whose running value is not the configured one
//	host/fstab            mount point -> "type options"
//	host/kernel-modules   module -> loaded, builtin, disabled, blacklisted, loadable, absent
//	host/boot             password superusers cmdline
//	host/services         unit -> enabled, masked, disabled
//	host/packages         package -> version
//	host/role             containers: whether containers run here
//	host/audit            settings of auditd.conf; rules immutable failure emulation; "watch PATH" -> permissions; "syscall NAME"
//	host/journald, host/coredump, host/selinux, host/mail, host/limits ("hard core"): settings by name
//	host/rsyslog          remote listens fileCreateMode authLogged
//	host/time             client servers restrict
//	host/apt              insecureOptions trusted securitySource unattendedUpgrade updateLists
//	host/dnf              settings of dnf.conf; uncheckedRepositories unverifiedRepositories
//	host/updates          lists (RFC 3339) runningKernel newestKernel rebootRequired replacedPrograms automatic
//	host/banner           one a file: file text discloses
//	host/firewall         tools count input output forward input6 loopback
//	host/crypto-policy    policy
//	host/cron             one a program: program allow deny
//	host/exports          noRootSquash everyone;  host/snmp: communities
//	host/filesystem       worldWritableFiles worldWritableDirectories looseSystemFiles looseLogs openPrivateKeys
//	                      looseDotFiles unowned ungrouped
//	host/file/PATH        path kind mode ("rw-r-----") octal uid gid user group; also host/file/ssh-private-key and -public-key
//
// Kinds of the running system (host/sysctl, host/mounts, …) are described in source/live.
package hostcfg
