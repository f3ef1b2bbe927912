# Copyright 2026 The sam3d_ros Authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

# Two things that only ROS 2 from PyPI wheels in a virtual environment needs. With ROS 2 from apt or
# from source both change nothing. They run once the whole CMakeLists.txt has been read.

# The imported targets of rosidl_generator_py name include directories that only existed on the
# machine that built the wheels, and CMake refuses those: drop what does not exist.
function(_drop_missing_include_directories)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT directories)
      continue()
    endif()
    set(existing)
    foreach(directory IN LISTS directories)
      if(NOT IS_ABSOLUTE "${directory}" OR EXISTS "${directory}")
        list(APPEND existing "${directory}")
      endif()
    endforeach()
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${existing}")
  endforeach()
endfunction()

# The target of our own messages names the headers of NumPy, and CMake refuses to export paths below the source
# directory, which is where .venv is: keep those for this build.
function(_keep_include_directories_of_the_environment)
  set(target ${PROJECT_NAME}__rosidl_generator_py)
  if(NOT TARGET ${target})
    return()
  endif()
  get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
  set(exported)
  foreach(directory IN LISTS directories)
    cmake_path(IS_PREFIX PROJECT_SOURCE_DIR "${directory}" is_below_source)
    if(is_below_source)
      list(APPEND exported "$<BUILD_INTERFACE:${directory}>")
    else()
      list(APPEND exported "${directory}")
    endif()
  endforeach()
  set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${exported}")
endfunction()

cmake_language(DEFER CALL _drop_missing_include_directories)
cmake_language(DEFER CALL _keep_include_directories_of_the_environment)
