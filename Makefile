# Thin: Meson and Ninja do the work. `make` builds into build/.
BUILD ?= build

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@meson setup $(BUILD) $(MESON_FLAGS)

build-asan/build.ninja:
	@CC=clang meson setup build-asan -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false

build-fuzz/build.ninja:
	@CC=clang meson setup build-fuzz -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false -Dfuzz=true

demo: all
	@scripts/demo

check: all
	@test/run

asan: build-asan/build.ninja
	@ninja -C build-asan
	@test/run --build build-asan --unit

fuzz-build: build-fuzz/build.ninja
	@ninja -C build-fuzz

fuzz: fuzz-build
	@fuzz/run

format:
	@clang-format -i $$(git ls-files '*.c' '*.h')

install: all
	@meson install -C $(BUILD)

clean:
	@rm -rf build build-asan build-fuzz

.PHONY: all demo check asan fuzz fuzz-build format install clean
