# Fetches and unpacks archives; sourced by the download.sh of each data set.

die() {
    printf 'download.sh: %s\n' "$@" >&2
    exit 1
}

need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" > /dev/null || die "$tool is needed: install it first."
    done
}

# fetch URL FILE MAGIC
# Resumes FILE.part. FILE appears once it is whole: as long as the server says,
# and starting with MAGIC, since a site that moved answers with a web page.
fetch() {
    local url=$1 file=$2 magic=$3 size have
    if [[ -e $file ]]; then
        check_magic "$file" "$magic" "$url"
        echo "$file is there"
        return
    fi
    mkdir -p "$(dirname "$file")"
    size=$(curl -fsIL "$url" | tr -d '\r' \
        | awk 'tolower($1) == "content-length:" { size = $2 } END { print size }') \
        || die "No answer from $url. If the archive has moved, get $(basename "$file") from the data set's web page and put it to $file."
    have=$(stat -c %s "$file.part" 2> /dev/null || echo 0)
    if [[ -n $size ]] && ((have > size)); then
        die "$file.part is longer than $url: delete it, it is another file."
    fi
    # A server answers a request for the rest of a whole file with an error.
    if [[ -z $size || $have != "$size" ]]; then
        echo "Fetching $url (${size:-unknown} bytes, $have of them here)"
        curl -fL -C - --retry 5 --retry-delay 10 -o "$file.part" "$url" \
            || die "Interrupted. Run this again to go on."
        have=$(stat -c %s "$file.part")
    fi
    if [[ -n $size && $have != "$size" ]]; then
        die "$file.part has $have of $size bytes. Run this again to go on."
    fi
    check_magic "$file.part" "$magic" "$url"
    mv "$file.part" "$file"
}

# check_magic FILE MAGIC URL
check_magic() {
    [[ $(head -c "${#2}" "$1" | tr -d '\0') == "$2" ]] \
        || die "$1 from $3 is not what was expected: it does not start with '$2'. Look at it, then delete it."
}

# unpack ARCHIVE FOLDER
# FOLDER appears once all is unpacked.
unpack() {
    local archive=$1 folder=$2 new=$2.unpacking
    if [[ -e $folder ]]; then
        echo "$folder is there"
        return
    fi
    rm -rf "$new"
    mkdir -p "$new"
    echo "Unpacking $archive"
    case $archive in
        *.rar) unrar x -idq -o+ "$archive" "$new/" || die "unrar failed on $archive" ;;
        *.zip) unzip -q "$archive" -d "$new" || die "unzip failed on $archive" ;;
    esac
    # Most archives hold one folder of that name.
    if [[ -d $new/$(basename "$folder") ]]; then
        mv "$new/$(basename "$folder")" "$folder"
        rm -rf "$new"
    else
        mv "$new" "$folder"
    fi
}
