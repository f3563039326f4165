"""Words that servers, databases, shells and browsers act on, in classes.

A value is read as tokens: words, numbers, each punctuation mark. A word of one of these classes is
a token of its own kind, so that ``or 1=1`` and ``he or she`` differ although both are letters and
spaces. The lists come from the grammars of the languages (SQL of the common databases, HTML, DOM,
POSIX shells, PHP, Java, Python), not from attacks; many of the words are plain English, and it is
the statistics of benign values that say where they are usual.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["CLASS_NAMES", "FIRST_CLASS", "WORD_KEYS", "WORD_TOKENS", "word_token"]

#: The token of the first class; below are letters, digits, spaces and punctuation (see ngrams).
FIRST_CLASS: Final = 38
_WORDS: Final[dict[str, str]] = {
    "SQL set operators": "union intersect except minus",
    "SQL verbs": """
        select insert update delete drop alter create truncate replace merge grant revoke exec
        execute declare call handler shutdown prepare deallocate attach backup restore""",
    "SQL clauses": """
        from where having into values limit offset order group by table outfile dumpfile join on
        set distinct top all as using procedure analyse asc desc""",
    "logical operators": """
        or and xor not like rlike regexp between is null true false exists in div mod any some
        sounds escape""",
    "SQL functions": """
        sleep benchmark waitfor pg_sleep concat group_concat concat_ws char chr nchar ascii ord
        substring substr hex unhex extractvalue updatexml load_file current_user system_user
        session_user ifnull nullif isnull iif cast convert rand md5 sha1 sha2 make_set elt row_count
        name_const xmltype utl_http utl_inaddr dbms_pipe receive_message dbms_lock ctxsys
        regexp_substring regexp_like randomblob generate_series crypt_key json_keys
        geometrycollection multipoint polygon linestring procedure_analyse gtid_subset coalesce
        greatest least strcmp bin oct conv locate instr position lpad rpad reverse soundex
        find_in_set field export_set mid ltrim rtrim upper lower bit_count bit_and bit_or
        uuid_short last_insert_id found_rows connection_id schema_name db_name host_name object_id
        col_name user_name suser_name is_srvrolemember openrowset opendatasource bulk""",
    "SQL words": """
        case when then else end count sum min max avg user version database schema left right
        length floor ceil round abs exp pow sqrt pi delay time if varchar int integer decimal
        signed unsigned binary text collate interval day hour minute second now sysdate date""",
    "names of database catalogues": """
        information_schema table_name column_name table_schema schemata tables columns sysobjects
        syscolumns sysusers sysdatabases pg_catalog pg_user pg_shadow pg_class sqlite_master
        sqlite_version dual all_tables user_tables all_users xp_cmdshell xp_dirtree
        xp_regread sp_executesql sp_password sp_oacreate msysobjects msysaccessobjects systables
        sysibm master dbo mysql innodb_table_stats character_sets domain_domains""",
    "elements that load or run": """
        script iframe frame frameset object embed applet svg math style link meta base isindex
        animate animatetransform foreignobject template portal marquee bgsound layer
        ilayer xmp plaintext noscript""",
    "media and form elements": """
        img image video audio source input button form textarea option details summary body
        html head title dialog keygen area map track picture canvas""",
    "event handlers": """
        onabort onactivate onafterprint onafterscriptexecute onanimationcancel onanimationend
        onanimationiteration onanimationstart onauxclick onbeforecopy onbeforecut onbeforeinput
        onbeforeprint onbeforescriptexecute onbeforetoggle onbeforeunload onbegin onblur onbounce
        oncancel oncanplay oncanplaythrough onchange onclick onclose oncontextmenu oncopy
        oncuechange oncut ondblclick ondrag ondragend ondragenter ondragexit ondragleave ondragover
        ondragstart ondrop ondurationchange onend onended onerror onfilterchange onfinish onfocus
        onfocusin onfocusout onformdata onfullscreenchange ongotpointercapture onhashchange onhelp
        oninput oninvalid onkeydown onkeypress onkeyup onload onloadeddata onloadedmetadata
        onloadend onloadstart onlosecapture onlostpointercapture onmessage onmousedown onmouseenter
        onmouseleave onmousemove onmouseout onmouseover onmouseup onmousewheel onmove onoffline
        ononline onpagehide onpageshow onpaste onpause onplay onplaying onpointercancel
        onpointerdown onpointerenter onpointerleave onpointermove onpointerout onpointerover
        onpointerrawupdate onpointerup onpopstate onprogress onpropertychange onratechange
        onreadystatechange onrepeat onreset onresize onscroll onscrollend onsearch onseeked
        onseeking onselect onselectionchange onselectstart onshow onstalled onstart onstorage
        onsubmit onsuspend ontimeupdate ontoggle ontouchcancel ontouchend ontouchmove ontouchstart
        ontransitioncancel ontransitionend ontransitionrun ontransitionstart onunhandledrejection
        onunload onvolumechange onwaiting onwebkitanimationend onwheel formaction srcdoc""",
    "script schemes": "javascript vbscript livescript mocha jscript",
    "script functions": """
        alert confirm prompt eval settimeout setinterval setimmediate function constructor
        fromcharcode atob btoa fetch xmlhttprequest importscripts expression execscript unescape
        decodeuricomponent encodeuricomponent sendbeacon postmessage appendchild createelement
        getelementbyid queryselector innerhtml outerhtml insertadjacenthtml write writeln import""",
    "script objects": """
        document window cookie location localstorage sessionstorage domain self parent frames
        globalthis navigator prototype __proto__ websocket console process mainmodule child_process
        execsync spawn require module exports nodejs""",
    "shell commands": """
        whoami uname ifconfig ipconfig netstat wget curl netcat nslookup tcpdump chmod chown bash
        zsh ksh csh dash powershell pwsh cmd systeminfo certutil bitsadmin mkfifo telnet sudo
        printenv tasklist taskkill xxd ncat socat crontab useradd adduser groupadd iptables busybox
        lsof mshta rundll32 regsvr32 wscript cscript iex""",
    "short shell words": """
        cat ls pwd ps id nc ping dig type dir net echo rm cp mv find grep awk sed perl python
        python3 ruby php node env hostname sh tail more less sort uniq cut tr tee touch kill host
        ssh scp ftp tftp w who last df du mount export test""",
    "names of system files": """
        passwd shadow system32 winnt htaccess htpasswd id_rsa authorized_keys environ bash_history
        bashrc sudoers fstab syswow64 phpmyadmin dockerenv kubeconfig serviceaccount credentials""",
    "names of system folders": """
        etc proc var tmp usr sbin dev opt root windows win ini boot cmdline fd hosts log logs conf
        config git svn aws home www htdocs inetpub apache nginx localhost""",
    "code functions": """
        system shell_exec passthru popen proc_open pcntl_exec assert phpinfo base64_decode
        base64_encode gzinflate str_rot13 file_get_contents file_put_contents fopen fwrite readfile
        highlight_file show_source include include_once require_once call_user_func
        call_user_func_array array_map preg_replace create_function getruntime runtime
        processbuilder forname getclass newinstance subprocess globals builtins lipsum cycler joiner
        namespace classloader getmethod freemarker ognl unserialize ini_set putenv getenv phpversion
        php_uname get_defined_vars get_current_user move_uploaded_file unlink chdir scandir
        __import__ __class__ __mro__ __subclasses__ __globals__ __builtins__ __init__ __bases__
        mro subclasses popen2 printf print die exit loadstring os io sys lang java javax util
        request application session response server""",
    "stream wrappers": """
        phar expect gopher dict ldap ldaps rmi jndi iiop corba nis zip glob jar netdoc ssh2 ogg zlib
        filter file data base64 rot13 iconv stdin""",
    "XML declarations": """
        doctype entity cdata stylesheet xinclude xmlns xsl xpath attlist element notation pcdata""",
}
#: What each class is called in evidence, in the order of their tokens.
CLASS_NAMES: Final = tuple(_WORDS)
_SLOTS: Final = 4096


def _hash(word: bytes) -> int:
    """FNV-1a, 32 bits: the kernel computes it while it walks over a word."""
    state = 2166136261
    for byte in word:
        state = ((state ^ byte) * 16777619) & 0xFFFFFFFF
    return state


def _slot(hashed: int) -> int:
    return (hashed ^ (hashed >> 15)) % _SLOTS


def _table() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
    keys, tokens = np.zeros(_SLOTS, np.uint32), np.zeros(_SLOTS, np.uint8)
    for token, words in enumerate(_WORDS.values(), FIRST_CLASS):
        for word in words.split():
            hashed = _hash(word.encode())
            slot = _slot(hashed)
            while keys[slot]:
                slot = (slot + 1) % _SLOTS
            keys[slot], tokens[slot] = hashed, token
    return keys, tokens


#: Open-addressing table of lower-case words: FNV-1a hashes (uint32) and their tokens (uint8).
WORD_KEYS, WORD_TOKENS = _table()


def word_token(word: bytes) -> int:
    """Return the token of a lower-case word, or 0 where no class has it.

    >>> CLASS_NAMES[word_token(b"union") - FIRST_CLASS]
    'SQL set operators'
    """
    hashed = _hash(word)
    slot = _slot(hashed)
    while WORD_KEYS[slot]:
        if WORD_KEYS[slot] == hashed:
            return int(WORD_TOKENS[slot])
        slot = (slot + 1) % _SLOTS
    return 0
